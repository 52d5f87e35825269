/* Loaded into a process before all else, it makes its clock differ by CLOCK_AHEAD_S seconds. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        const char *ahead = getenv("CLOCK_AHEAD_S");
        at->tv_sec += ahead ? atol(ahead) : 0;
    }
    return result;
}
