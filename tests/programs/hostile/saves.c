/* Saves a checkpoint again and again, as fast as it can: of a few bytes, or with the argument `tree` of a tree of
   directories with long names and a file in each. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char path[1024] = "/checkpoint", name[21];
    memset(name, 'n', 20);
    name[20] = 0;
    for (int level = 0; argc > 1 && strcmp(argv[1], "tree") == 0 && level < 40; level++) {
        strcat(path, "/");
        strcat(path, name);
        if (mkdir(path, 0755) != 0) return 1;
        char inside[1100];
        snprintf(inside, sizeof inside, "%s/f", path);
        close(open(inside, O_CREAT | O_WRONLY, 0644));
    }
    for (unsigned i = 0;; i++) {
        int file = open("/tmp/next", O_CREAT | O_TRUNC | O_WRONLY, 0644);
        if (file < 0 || write(file, &i, sizeof i) != sizeof i) return 2;
        close(file);
        if (rename("/tmp/next", "/checkpoint/next") != 0) return 3;
    }
}
