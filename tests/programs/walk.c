/* Prints its name, and of each folder among its arguments how many files and lines are in it, however deep, and how many
   folders in it are empty. Leaves its name in /out/copy/name, by way of its working directory, and an empty folder beside
   it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int files, lines, empty;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void count(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    files++;
    for (int c; (c = fgetc(file)) != EOF;) lines += c == '\n';
    if (ferror(file)) die(path);
    fclose(file);
}

static void walk(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) die(path);
    int entries = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        entries++;
        char below[2100];
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        struct stat of;
        if (stat(below, &of) != 0) die(below);
        if (S_ISDIR(of.st_mode)) walk(below);
        else count(below);
    }
    empty += entries == 0;
    closedir(directory);
}

int main(int argc, char **argv) {
    puts(argv[0]);
    for (int i = 1; i < argc; i++) {
        files = lines = empty = 0;
        walk(argv[i]);
        printf("%s %d files %d lines %d empty\n", argv[i], files, lines, empty);
    }
    FILE *name = fopen("name", "w");
    if (!name || fprintf(name, "%s\n", argv[0]) < 0 || fclose(name) != 0) die("name");
    if (mkdir("/out/copy", 0755) != 0 || mkdir("/out/copy/empty", 0755) != 0) die("/out/copy");
    if (rename("name", "/out/copy/name") != 0) die("/out/copy/name");
    return 0;
}
