/* The smallest vassal that speaks the emperor's protocol: vassal ... vNUMBER.ini

   It stamps its slot of the file BENCH_MARKS, which all vassals of a run map: when it started, was
   told to reload, and ended. The stamps are nanoseconds of CLOCK_MONOTONIC.

   vassal --spawn COUNT starts COUNT of these in a loop. That is the least that a start can take. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct slot {
    uint64_t started, told, ended;
    uint32_t pid, starts, tolds, spare;
    uint64_t pad[3];
};

static struct slot *mine;

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void end(int signal) {
    (void)signal;
    mine->ended = now();
    _exit(0);
}

/* The last run of digits in the last argument that has one. */
static long number(int argc, char **argv) {
    for (int i = argc - 1; i > 0; i--) {
        char *at = argv[i] + strlen(argv[i]);
        while (at > argv[i] && (at[-1] < '0' || at[-1] > '9')) at--;
        if (at == argv[i]) continue;
        while (at > argv[i] && at[-1] >= '0' && at[-1] <= '9') at--;
        return atol(at);
    }
    return 0;
}

static int spawn(char *self, long count) {
    char name[32];
    char *arguments[] = {self, name, NULL};
    for (long i = 0; i < count; i++) {
        pid_t child;
        snprintf(name, sizeof name, "v%ld", i);
        if (posix_spawn(&child, self, NULL, NULL, arguments, environ)) return 1;
    }
    pause();
    return 0;
}

int main(int argc, char **argv) {
    uint64_t began = now();
    if (argc == 3 && !strcmp(argv[1], "--spawn")) return spawn(argv[0], atol(argv[2]));
    char *path = getenv("BENCH_MARKS"), *control = getenv("UWSGI_EMPEROR_FD");
    long index = number(argc, argv);
    struct stat found;
    int marks = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (marks < 0 || fstat(marks, &found)) return 2;
    if ((off_t)((index + 1) * sizeof *mine) > found.st_size) return 3;
    struct slot *slots = mmap(NULL, found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, marks, 0);
    if (slots == MAP_FAILED) return 4;
    close(marks);
    mine = slots + index;
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGQUIT, end);
    mine->pid = (uint32_t)getpid();
    mine->starts++;
    mine->started = began;
    if (!control)
        for (;;) pause();
    int fd = atoi(control);
    char byte;
    if (write(fd, "\1\5", 2) != 2) end(0);
    for (;;) {
        ssize_t size = read(fd, &byte, 1);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0 || byte == 0 || byte == 2) end(0);
        if (byte != 1) continue;
        mine->tolds++;
        mine->told = now();
        if (write(fd, "\5", 1) != 1) end(0);
    }
}
