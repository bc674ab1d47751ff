/* Leaves a number of files of one byte each: as many as its first argument says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int files = argc > 1 ? atoi(argv[1]) : 100;
    char name[64];
    for (int i = 0; i < files; i++) {
        snprintf(name, sizeof name, "/out/%d", i);
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        if (file < 0 || write(file, "x", 1) != 1) return 1;
        close(file);
    }
    return 0;
}
