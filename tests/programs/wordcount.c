/* Counts lines, words and bytes of every file under /in, however deep, and writes them to /out/counts: a line a file, in
   the order of the files' names, and a total. Prints the number of files. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char path[1100];
    long long lines, words, bytes;
} Count;

static Count *counts;
static int count;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void count_file(const char *path) {
    counts = realloc(counts, (size_t)(count + 1) * sizeof *counts);
    if (!counts) die("counting");
    Count *of = &counts[count++];
    memset(of, 0, sizeof *of);
    snprintf(of->path, sizeof of->path, "%s", path + strlen("/in/"));
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    int in_word = 0;
    for (int c; (c = fgetc(file)) != EOF;) {
        of->bytes++;
        of->lines += c == '\n';
        of->words += !isspace(c) && !in_word;
        in_word = !isspace(c);
    }
    if (ferror(file)) die(path);
    fclose(file);
}

static void walk(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) die(path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char below[1100];
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        struct stat stat_of;
        if (stat(below, &stat_of) != 0) die(below);
        if (S_ISDIR(stat_of.st_mode)) walk(below);
        else count_file(below);
    }
    closedir(directory);
}

static int by_path(const void *one, const void *other) {
    return strcmp(((const Count *)one)->path, ((const Count *)other)->path);
}

int main(void) {
    walk("/in");
    qsort(counts, (size_t)count, sizeof *counts, by_path);
    FILE *out = fopen("/out/counts", "w");
    if (!out) die("/out/counts");
    Count total = {0};
    for (int i = 0; i < count; i++) {
        fprintf(out, "%lld %lld %lld %s\n", counts[i].lines, counts[i].words, counts[i].bytes, counts[i].path);
        total.lines += counts[i].lines;
        total.words += counts[i].words;
        total.bytes += counts[i].bytes;
    }
    fprintf(out, "%lld %lld %lld total\n", total.lines, total.words, total.bytes);
    if (fclose(out) != 0) die("/out/counts");
    printf("%d files\n", count);
    return 0;
}
