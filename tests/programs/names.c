/* Leaves a file under /out for each of its arguments, which is its name, with the name in it; directories of the name are made. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char path[2048];
        if (snprintf(path, sizeof path, "/out/%s", argv[i]) >= (int)sizeof path) return 2;
        for (char *slash = strchr(path + 5, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = 0;
            mkdir(path, 0777);
            *slash = '/';
        }
        FILE *file = fopen(path, "w");
        if (!file) {
            fprintf(stderr, "%s cannot be made\n", path);
            return 3;
        }
        fputs(argv[i], file);
        if (fclose(file) != 0) return 4;
    }
    return 0;
}
