/* Leaves small files: as many as its first argument says, each of as many bytes as its second. Each begins with its
   number and a line feed, and ends in dots, so no two are equal. Says how many it left. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int files = argc > 1 ? atoi(argv[1]) : 1000, bytes = argc > 2 ? atoi(argv[2]) : 170;
    char name[64], content[4096];
    if (bytes < 6 || bytes > (int)sizeof content) return 1;
    memset(content, '.', sizeof content);
    for (int i = 0; i < files; i++) {
        snprintf(name, sizeof name, "/out/%05d", i);
        snprintf(content, sizeof content, "%05d", i);
        content[5] = '\n';
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        if (file < 0 || write(file, content, bytes) != bytes) return 2;
        close(file);
    }
    printf("%d\n", files);
    return 0;
}
