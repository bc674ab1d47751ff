/* Makes empty things under /out for ever: files, or with the argument `directories` directories, or with `deep` each
   directory inside the one before. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "files";
    char name[64];
    int at = open("/out", O_RDONLY | O_DIRECTORY);
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "%s/%d", "/out", i);
        if (strcmp(what, "directories") == 0) {
            if (mkdir(name, 0755) != 0) return 1;
        } else if (strcmp(what, "deep") == 0) {
            if (mkdirat(at, "d", 0755) != 0) return 1;
            int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
            if (next < 0) return 2;
            close(at);
            at = next;
        } else {
            int file = open(name, O_CREAT | O_WRONLY, 0644);
            if (file < 0) return 1;
            close(file);
        }
    }
}
