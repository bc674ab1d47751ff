/* Takes COUNT steps of MS milliseconds, and saves their number after each: `steps COUNT MS`. It goes on from the last
   checkpoint, and prints each step that it took itself. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const saved = "/checkpoint/steps", *const next = "/checkpoint/steps.next";

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int count = atoi(argv[1]), ms = atoi(argv[2]), taken = 0;
    FILE *file = fopen(saved, "r");
    if (file) {
        if (fscanf(file, "%d", &taken) != 1) return 3;
        fclose(file);
    }
    while (taken < count) {
        struct timespec wait = {ms / 1000, ms % 1000 * 1000000L};
        if (nanosleep(&wait, NULL) != 0) return 4;
        printf("%d\n", taken++);
        file = fopen(next, "w");
        if (!file) return 5;
        fprintf(file, "%d\n", taken);
        if (fclose(file) != 0 || rename(next, saved) != 0) return 6;
    }
    return 0;
}
