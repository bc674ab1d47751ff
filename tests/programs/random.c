/* Prints values that elsewhere differ from run to run: the time, randomness, a file's number and times, a directory's
   order, an address. Every attempt of a task must print the same. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void print_time(const char *name, clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    printf("%s %lld.%09ld\n", name, (long long)time.tv_sec, time.tv_nsec);
}

int main(void) {
    print_time("realtime", CLOCK_REALTIME);
    print_time("monotonic", CLOCK_MONOTONIC);
    struct timespec nap = {0, 2000000};
    nanosleep(&nap, NULL);
    print_time("after a nap", CLOCK_MONOTONIC);

    unsigned char bytes[16];
    if (getentropy(bytes, sizeof bytes) != 0) return 1;
    printf("random ");
    for (size_t i = 0; i < sizeof bytes; i++) printf("%02x", bytes[i]);
    printf("\naddress %p\n", malloc(100));

    const char *names[] = {"/out/zebra", "/out/ant", "/out/mole"};
    for (int i = 0; i < 3; i++) close(open(names[i], O_CREAT | O_WRONLY, 0644));
    struct stat stat_of;
    if (stat("/out/ant", &stat_of) != 0) return 2;
    printf("ant %llu %lld.%09ld\n", (unsigned long long)stat_of.st_ino, (long long)stat_of.st_mtim.tv_sec,
           stat_of.st_mtim.tv_nsec);
    DIR *directory = opendir("/out");
    if (!directory) return 3;
    for (struct dirent *entry; (entry = readdir(directory));) printf("%s\n", entry->d_name);
    closedir(directory);
    return 0;
}
