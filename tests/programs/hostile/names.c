/* Makes files with names as long as may be, each in a directory with such a name, until that is refused; then renames
   one tree below the other. Returns 5 when it was refused all that it should be. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    char name[256], path[4096] = "/out";
    memset(name, 'n', 255);
    name[255] = 0;
    int levels = 0;
    while (levels < 32) {
        strcat(path, "/");
        strcat(path, name);
        if (mkdir(path, 0755) != 0) break;
        levels++;
    }
    if (levels == 32 || errno != ENAMETOOLONG) return 1;
    if (mkdir("/out/a", 0755) != 0 || mkdir("/out/a/b", 0755) != 0) return 2;
    snprintf(path, sizeof path, "/out/%s", name);
    char below[4096];
    snprintf(below, sizeof below, "/out/a/b/%s", name);
    if (rename(path, below) == 0) return 3;
    return errno == ENAMETOOLONG ? 5 : 4;
}
