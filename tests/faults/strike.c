/* Makes system calls of one process fail as a plan says. Loaded by LD_PRELOAD.

   The plan is a file that is mapped, shared with the tool that writes it (plan.py has the same
   layout). So a fault begins and ends while the process runs, and a count outlives an execve.

   A process counts by its role, which its command line gives: keeper, daemon, the daemon's worker
   for archives and copies, or emperor-replay. All others, vassals above all, are left alone. A child
   between fork and execve is still the daemon.

   The object of a call is told in words: a file below the test's folder by its name
   there, a socket by what it is for. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEY 120
#define PATH 512
#define SITES 4096
enum { OFF, ONCE, FOR_EVER, HANG, KILL };
enum { SHORT = -1 };

struct site {
    _Atomic int state; /* 0 free, 1 being made, 2 made */
    _Atomic unsigned count;
    char key[KEY];
};

struct plan {
    _Atomic int counting;
    _Atomic int mode;
    int error; /* an errno, or SHORT */
    unsigned first; /* the call that is the first to fail */
    _Atomic unsigned seen, struck;
    char target[8192]; /* lines of "role function object", '*' for any object */
    char folder[256];  /* of the test */
    _Atomic long skew; /* seconds that the daemon's wall clock is off */
    struct site site[SITES];
};

static struct plan *plan;
static const char *role;
static pid_t home; /* of that role: a child before its execve is not */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_PLAN");
    if (path == NULL) return;
    char line[8192];
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = syscall(SYS_read, fd, line, sizeof line - 1);
    syscall(SYS_close, fd);
    if (size <= 0) return;
    line[size] = 0;
    for (char *word = line; word < line + size; word += strlen(word) + 1) {
        if (strcmp(word, "-m") != 0) continue;
        word += 3;
        if (strcmp(word, "emperord.daemon.keeper") == 0) role = "keeper";
        if (strcmp(word, "emperord.daemon.main") == 0) role = "daemon";
        if (strcmp(word, "emperord.replay.main") == 0) role = "replay";
        if (strcmp(word, "emperord.replay.for_daemon") == 0) role = "worker";
        break;
    }
    if (role == NULL) return;
    home = getpid();
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = (void *)syscall(
        SYS_mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (at != MAP_FAILED) plan = at;
}

/* The object of a call, in words */

static int begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Numbers, and names made of hex digits, differ from run to run. */
static void put(char *out, size_t size, const char *text) {
    size_t n = 0;
    while (*text && n + 2 < size) {
        size_t hex = strspn(text, "0123456789abcdef"), digits = strspn(text, "0123456789");
        if (digits > 0 || hex >= 16) {
            out[n++] = 'N';
            text += hex >= 16 ? hex : digits;
        } else {
            out[n++] = *text == ' ' ? '_' : *text;
            text++;
        }
    }
    out[n] = 0;
}

static void of_path(char *out, size_t size, const char *path) {
    if (path == NULL) path = "NULL";
    size_t folder = strlen(plan->folder);
    if (strncmp(path, plan->folder, folder) == 0)
        put(out, size, path[folder] ? path + folder + 1 : ".");
    else if (*path != '/' || begins(path, "/proc/") || begins(path, "/dev/") ||
             begins(path, "/run/") || begins(path, "/sys/"))
        put(out, size, path);
    else
        snprintf(out, size, "elsewhere");
}

static void of_socket(char *out, size_t size, int fd) {
    struct sockaddr_un name;
    socklen_t length = sizeof name, four = sizeof(int);
    int type = 0;
    memset(&name, 0, sizeof name);
    syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &four);
    syscall(SYS_getsockname, fd, &name, &length);
    const char *what = type == SOCK_SEQPACKET ? "channel" : "socketpair";
    /* trio makes the buffers of the one by which threads wake its loop as small as can be. */
    int sends = 0, receives = 0;
    syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &sends, &four);
    syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVBUF, &receives, &four);
    if (type == SOCK_STREAM && (sends < 8192 || receives < 8192)) what = "wake-up";
    if (name.sun_family != AF_UNIX) what = "inet";
    else if (type == SOCK_DGRAM) what = "datagrams";
    else if (name.sun_path[0]) what = "listener";
    snprintf(out, size, "%s", what);
}

static void of_fd(char *out, size_t size, int fd) {
    char link[64], path[PATH];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (n < 0) {
        snprintf(out, size, "none");
        return;
    }
    path[n] = 0;
    if (begins(path, "socket:")) of_socket(out, size, fd);
    else if (begins(path, "pipe:")) snprintf(out, size, "pipe");
    else of_path(out, size, path);
}

static void of_at(char *out, size_t size, int fd, const char *path) {
    if (path != NULL && *path != '/' && fd != AT_FDCWD) {
        char above[PATH];
        of_fd(above, sizeof above, fd);
        char both[PATH + 256];
        snprintf(both, sizeof both, "%s/%.200s", above, path);
        put(out, size, both);
    } else
        of_path(out, size, path);
}

/* Counting and striking */

static void count(const char *key) {
    unsigned hash = 5381;
    for (const char *at = key; *at; at++) hash = hash * 33 + (unsigned char)*at;
    for (unsigned n = 0; n < SITES; n++) {
        struct site *site = &plan->site[(hash + n) % SITES];
        int free = 0;
        if (atomic_compare_exchange_strong(&site->state, &free, 1)) {
            memcpy(site->key, key, strlen(key) + 1);
            atomic_store(&site->state, 2);
        }
        if (atomic_load(&site->state) == 2 && strcmp(site->key, key) == 0) {
            atomic_fetch_add(&site->count, 1);
            return;
        }
    }
}

static int is_meant(const char *function, const char *object) {
    char line[KEY];
    int n = snprintf(line, sizeof line, "%s %s ", role, function);
    const char *at = plan->target;
    while (*at) {
        size_t length = strcspn(at, "\n");
        if (strncmp(at, line, n) == 0) {
            const char *given = at + n;
            size_t rest = length - n;
            if (rest == 1 && *given == '*') return 1;
            if (rest > 1 && given[rest - 1] == '*' && strncmp(given, object, rest - 1) == 0)
                return 1;
            if (strlen(object) == rest && strncmp(given, object, rest) == 0) return 1;
        }
        at += length + (at[length] == '\n');
    }
    return 0;
}

/* The errno with which a call is to fail; 0 if it is not to. */
static int verdict(const char *function, const char *object) {
    if (atomic_load(&plan->counting)) {
        char key[KEY];
        snprintf(key, sizeof key, "%s %s %s", role, function, object);
        count(key);
    }
    int mode = atomic_load(&plan->mode);
    if (mode == OFF || !is_meant(function, object)) return 0;
    unsigned number = atomic_fetch_add(&plan->seen, 1) + 1;
    if (mode == ONCE || mode == KILL ? number != plan->first : number < plan->first) return 0;
    atomic_fetch_add(&plan->struck, 1);
    if (mode == KILL) syscall(SYS_kill, home, SIGKILL);
    while (atomic_load(&plan->mode) == HANG) {
        struct timespec moment = {0, 5000000};
        syscall(SYS_nanosleep, &moment, NULL);
    }
    return mode == HANG ? 0 : plan->error;
}

static int looks(void) {
    return plan != NULL && (atomic_load(&plan->counting) || atomic_load(&plan->mode) != OFF);
}

static int by_fd(const char *function, int fd) {
    if (!looks()) return 0;
    int before = errno;
    char object[PATH];
    of_fd(object, sizeof object, fd);
    errno = before;
    return verdict(function, object);
}

static int by_path(const char *function, const char *path) {
    if (!looks()) return 0;
    int before = errno;
    char object[PATH];
    of_path(object, sizeof object, path);
    errno = before;
    return verdict(function, object);
}

static int by_at(const char *function, int fd, const char *path) {
    if (!looks()) return 0;
    int before = errno;
    char object[PATH];
    of_at(object, sizeof object, fd, path);
    errno = before;
    return verdict(function, object);
}

static int by_name(const char *function, const char *object) {
    return looks() ? verdict(function, object) : 0;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Fail with the verdict, or do it. */
#define FAIL(looked, value) \
    do { \
        int error = looked; \
        if (error > 0) { \
            errno = error; \
            return value; \
        } \
    } while (0)

#define CALL(type, name, parameters, looked, bad, ...) \
    type name parameters { \
        REAL(name); \
        FAIL(looked, bad); \
        return real(__VA_ARGS__); \
    }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        FAIL(by_path("open", path), -1); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        FAIL(by_at("open", at, path), -1); \
        return real(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) { /* It is closed whatever it says, as on Linux. */
    REAL(close);
    int error = by_fd("close", fd);
    int done = real(fd);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return done;
}

CALL(ssize_t, read, (int fd, void *to, size_t n), by_fd("read", fd), -1, fd, to, n)
CALL(ssize_t, pread, (int fd, void *to, size_t n, off_t at), by_fd("read", fd), -1, fd, to, n, at)
CALL(ssize_t, pread64, (int fd, void *to, size_t n, off_t at), by_fd("read", fd), -1, fd, to, n, at)

static size_t part(size_t n) { return n > 1 ? n / 2 : n; }

ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    int error = by_fd("write", fd);
    FAIL(error, -1);
    return real(fd, from, error == SHORT ? part(n) : n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    REAL(pwrite);
    int error = by_fd("write", fd);
    FAIL(error, -1);
    return real(fd, from, error == SHORT ? part(n) : n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
    REAL(pwrite64);
    int error = by_fd("write", fd);
    FAIL(error, -1);
    return real(fd, from, error == SHORT ? part(n) : n, at);
}

CALL(int, fsync, (int fd), by_fd("fsync", fd), -1, fd)
CALL(int, fdatasync, (int fd), by_fd("fsync", fd), -1, fd)
CALL(int, ftruncate, (int fd, off_t n), by_fd("ftruncate", fd), -1, fd, n)
CALL(int, ftruncate64, (int fd, off_t n), by_fd("ftruncate", fd), -1, fd, n)
CALL(off_t, lseek, (int fd, off_t at, int from), by_fd("lseek", fd), -1, fd, at, from)
CALL(off_t, lseek64, (int fd, off_t at, int from), by_fd("lseek", fd), -1, fd, at, from)
CALL(int, flock, (int fd, int how), by_fd("flock", fd), -1, fd, how)
CALL(int, fstat, (int fd, struct stat *to), by_fd("stat", fd), -1, fd, to)
CALL(int, fstat64, (int fd, struct stat64 *to), by_fd("stat", fd), -1, fd, to)
CALL(int, stat, (const char *path, struct stat *to), by_path("stat", path), -1, path, to)
CALL(int, stat64, (const char *path, struct stat64 *to), by_path("stat", path), -1, path, to)
CALL(int, lstat, (const char *path, struct stat *to), by_path("stat", path), -1, path, to)
CALL(int, lstat64, (const char *path, struct stat64 *to), by_path("stat", path), -1, path, to)
CALL(int, fstatat64, (int at, const char *path, struct stat64 *to, int flags),
     by_at("stat", at, path), -1, at, path, to, flags)
CALL(int, access, (const char *path, int how), by_path("access", path), -1, path, how)
CALL(int, unlink, (const char *path), by_path("unlink", path), -1, path)
CALL(int, unlinkat, (int at, const char *path, int flags), by_at("unlink", at, path), -1, at, path,
     flags)
CALL(int, link, (const char *from, const char *to), by_path("link", to), -1, from, to)
CALL(int, linkat, (int at, const char *from, int beside, const char *to, int flags),
     by_at("link", beside, to), -1, at, from, beside, to, flags)
CALL(int, rename, (const char *from, const char *to), by_path("rename", from), -1, from, to)
CALL(int, mkdir, (const char *path, mode_t mode), by_path("mkdir", path), -1, path, mode)
CALL(int, chdir, (const char *path), by_path("chdir", path), -1, path)
CALL(int, chmod, (const char *path, mode_t mode), by_path("chmod", path), -1, path, mode)
CALL(int, fchmod, (int fd, mode_t mode), by_fd("chmod", fd), -1, fd, mode)
CALL(int, chown, (const char *path, uid_t u, gid_t g), by_path("chown", path), -1, path, u, g)
CALL(int, fchown, (int fd, uid_t u, gid_t g), by_fd("chown", fd), -1, fd, u, g)
CALL(ssize_t, readlink, (const char *path, char *to, size_t n), by_path("readlink", path), -1, path,
     to, n)
CALL(DIR *, opendir, (const char *path), by_path("opendir", path), NULL, path)
CALL(DIR *, fdopendir, (int fd), by_fd("opendir", fd), NULL, fd)
CALL(struct dirent64 *, readdir64, (DIR * dir), by_fd("readdir", dirfd(dir)), NULL, dir)

int posix_fallocate64(int fd, off_t at, off_t n) {
    REAL(posix_fallocate64);
    int error = by_fd("fallocate", fd);
    return error > 0 ? error : real(fd, at, n);
}

void *mmap64(void *at, size_t n, int may, int flags, int fd, off_t from) {
    REAL(mmap64);
    if (fd >= 0) FAIL(by_fd("mmap", fd), MAP_FAILED);
    return real(at, n, may, flags, fd, from);
}

#define FCNTL(name) \
    int name(int fd, int what, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, what); \
        void *argument = va_arg(more, void *); \
        va_end(more); \
        if (what == F_SETLK && ((struct flock *)argument)->l_type != F_UNLCK) \
            FAIL(by_fd("lock", fd), -1); \
        if (what == F_DUPFD || what == F_DUPFD_CLOEXEC) FAIL(by_fd("dup", fd), -1); \
        return real(fd, what, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

CALL(int, dup, (int fd), by_fd("dup", fd), -1, fd)
CALL(int, dup2, (int fd, int as), by_fd("dup2", fd), -1, fd, as)
CALL(int, dup3, (int fd, int as, int flags), by_fd("dup2", fd), -1, fd, as, flags)
CALL(int, pipe2, (int to[2], int flags), by_name("pipe", "new"), -1, to, flags)
CALL(int, memfd_create, (const char *name, unsigned flags), by_name("memfd", "new"), -1, name,
     flags)
CALL(int, epoll_create1, (int flags), by_name("epoll_create", "new"), -1, flags)
CALL(int, epoll_ctl, (int at, int what, int fd, struct epoll_event *of),
     what == EPOLL_CTL_DEL ? 0 : by_fd("epoll_ctl", fd), -1, at, what, fd, of)
CALL(int, epoll_wait, (int fd, struct epoll_event *to, int n, int ms),
     by_name("epoll_wait", ms == 0 ? "look" : "wait"), -1, fd, to, n, ms)
CALL(int, poll, (struct pollfd * of, nfds_t n, int ms), by_name("poll", ms == 0 ? "look" : "wait"),
     -1, of, n, ms)
CALL(int, inotify_init1, (int flags), by_name("inotify_init", "new"), -1, flags)
CALL(int, inotify_add_watch, (int fd, const char *path, unsigned mask),
     by_path("inotify_add_watch", path), -1, fd, path, mask)

static const char *family(int of) {
    return of == AF_UNIX ? "unix" : of == AF_NETLINK ? "netlink" : "inet";
}

CALL(int, socket, (int of, int type, int protocol), by_name("socket", family(of)), -1, of, type,
     protocol)
CALL(int, socketpair, (int of, int type, int protocol, int to[2]),
     by_name("socketpair", (type & 15) == SOCK_SEQPACKET ? "channel" : "socketpair"), -1, of, type,
     protocol, to)
CALL(int, accept4, (int fd, struct sockaddr *to, socklen_t *n, int flags), by_fd("accept", fd), -1,
     fd, to, n, flags)
CALL(int, bind, (int fd, const struct sockaddr *to, socklen_t n), by_fd("bind", fd), -1, fd, to, n)
CALL(int, listen, (int fd, int n), by_fd("listen", fd), -1, fd, n)
CALL(int, connect, (int fd, const struct sockaddr *to, socklen_t n), by_fd("connect", fd), -1, fd,
     to, n)
CALL(ssize_t, send, (int fd, const void *from, size_t n, int flags), by_fd("send", fd), -1, fd,
     from, n, flags)
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), by_fd("send", fd), -1, fd,
     from, flags)
CALL(ssize_t, sendto, (int fd, const void *from, size_t n, int flags, const struct sockaddr *to,
     socklen_t size), by_fd("send", fd), -1, fd, from, n, flags, to, size)
CALL(ssize_t, recv, (int fd, void *to, size_t n, int flags), by_fd("recv", fd), -1, fd, to, n,
     flags)
CALL(ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), by_fd("recv", fd), -1, fd, to, flags)
CALL(int, setsockopt, (int fd, int of, int what, const void *from, socklen_t n),
     by_fd("setsockopt", fd), -1, fd, of, what, from, n)

/* Processes */

CALL(int, waitid, (idtype_t of, id_t id, siginfo_t *to, int how), by_name("wait", "child"), -1, of,
     id, to, how)
CALL(pid_t, waitpid, (pid_t pid, int *to, int how), by_name("wait", "child"), -1, pid, to, how)
CALL(pid_t, fork, (void), by_name("fork", "child"), -1, )
CALL(int, execve, (const char *path, char *const argv[], char *const env[]),
     by_path("execve", path), -1, path, argv, env)

pid_t vfork(void) { /* A wrapper cannot return twice on the same stack. */
    return fork();
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                const posix_spawnattr_t *how, char *const argv[], char *const env[]) {
    REAL(posix_spawn);
    int error = by_path("posix_spawn", path);
    return error > 0 ? error : real(pid, path, files, how, argv, env);
}

int pthread_create(pthread_t *to, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    REAL(pthread_create);
    int error = by_name("pthread_create", "thread");
    return error > 0 ? error : real(to, how, run, with);
}

int clock_gettime(clockid_t which, struct timespec *to) {
    REAL(clock_gettime);
    int done = real(which, to);
    if (plan != NULL && which == CLOCK_REALTIME) to->tv_sec += atomic_load(&plan->skew);
    return done;
}

long syscall(long number, ...) {
    REAL(syscall);
    va_list more;
    va_start(more, number);
    long a[6];
    for (int n = 0; n < 6; n++) a[n] = va_arg(more, long);
    va_end(more);
    if (number == SYS_pidfd_open) FAIL(by_name("pidfd_open", "child"), -1);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
