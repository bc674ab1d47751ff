/* Does with files what programs do, tries what they must not be able to do, and checks every answer. Prints each failed
   check with its line. Ends with status 0 only if none failed. Expects the input `/in/sub/given` with the text "given\n". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed;

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
            failed = 1;                                                        \
        }                                                                      \
    } while (0)
#define FAILS(call, number) CHECK((errno = 0, (call) < 0 && errno == (number)))

static void write_file(const char *path, const char *text) {
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    CHECK(file >= 0);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(close(file) == 0);
}

static const char *read_file(const char *path) {
    static char text[256];
    int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    ssize_t bytes = read(file, text, sizeof text - 1);
    CHECK(bytes >= 0);
    text[bytes < 0 ? 0 : bytes] = 0;
    close(file);
    return text;
}

static int entries(const char *path) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    if (!directory) return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static void inputs(void) {
    struct stat of;
    CHECK(strcmp(read_file("/in/sub/given"), "given\n") == 0);
    CHECK(stat("/in/sub/given", &of) == 0 && S_ISREG(of.st_mode) && of.st_size == 6);
    CHECK(stat("/in/sub", &of) == 0 && S_ISDIR(of.st_mode));
    FAILS(open("/in/sub/given", O_WRONLY), EROFS);
    FAILS(open("/in/sub/given", O_RDONLY | O_TRUNC), EROFS);
    FAILS(open("/in/new", O_CREAT | O_WRONLY, 0644), EROFS);
    FAILS(unlink("/in/sub/given"), EROFS);
    FAILS(rename("/in/sub/given", "/in/sub/other"), EROFS);
    FAILS(rename("/in/sub/given", "/out/given"), EROFS);
    FAILS(mkdir("/in/more", 0755), EROFS);
    FAILS(open("/in/sub/given/x", O_RDONLY), ENOTDIR);
    FAILS(open("/in/sub/given/", O_RDONLY), ENOTDIR);
    FAILS(open("/in/none", O_RDONLY), ENOENT);
    FAILS(rmdir("/in"), EBUSY);
    FAILS(rmdir("/out"), EBUSY);
    FAILS(rename("/out", "/gone"), EBUSY);
}

static void ways_out(void) {
    int in = open("/in/sub", O_RDONLY | O_DIRECTORY);
    CHECK(in >= 0);
    FAILS(openat(in, "../../out/x", O_CREAT | O_WRONLY, 0644), ENOTCAPABLE);
    FAILS(openat(in, "..", O_RDONLY), ENOTCAPABLE);
    CHECK(openat(in, "../sub", O_RDONLY) < 0);
    close(in);
    CHECK(open("/../etc/passwd", O_RDONLY) < 0);
    CHECK(open("/etc/passwd", O_RDONLY) < 0);
    CHECK(open("../../../../etc/passwd", O_RDONLY) < 0);
    CHECK(symlink("/etc/passwd", "/out/link") < 0);
    write_file("/out/first", "1");
    CHECK(link("/out/first", "/out/second") < 0);
    CHECK(unlink("/out/first") == 0);
}

static void writing(void) {
    struct stat of;
    char buffer[16];
    write_file("/out/a", "hello");
    CHECK(strcmp(read_file("/out/a"), "hello") == 0);
    int file = open("/out/a", O_RDWR | O_APPEND);
    CHECK(write(file, " there", 6) == 6);
    CHECK(lseek(file, 0, SEEK_SET) == 0);
    CHECK(read(file, buffer, 5) == 5 && memcmp(buffer, "hello", 5) == 0);
    CHECK(write(file, "!", 1) == 1);
    CHECK(lseek(file, 0, SEEK_CUR) == 12);
    CHECK(strcmp(read_file("/out/a"), "hello there!") == 0);
    close(file);

    file = open("/out/a", O_RDWR);
    CHECK(pwrite(file, "J", 1, 0) == 1);
    CHECK(pread(file, buffer, 5, 0) == 5 && memcmp(buffer, "Jello", 5) == 0);
    CHECK(lseek(file, 0, SEEK_CUR) == 0);
    CHECK(ftruncate(file, 4) == 0);
    CHECK(fstat(file, &of) == 0 && of.st_size == 4);
    CHECK(lseek(file, 2, SEEK_END) == 6);
    CHECK(write(file, "x", 1) == 1);
    CHECK(pread(file, buffer, 16, 0) == 7 && memcmp(buffer, "Jell\0\0x", 7) == 0);
    CHECK(read(file, buffer, 16) == 0);
    FAILS(lseek(file, -1, SEEK_SET), EINVAL);
    close(file);
    FAILS(close(file), EBADF);
    FAILS(read(file, buffer, 1), EBADF);

    file = open("/out/a", O_WRONLY);
    FAILS(read(file, buffer, 1), EBADF);
    close(file);
    file = open("/out/a", O_RDONLY);
    FAILS(write(file, "x", 1), EBADF);
    close(file);
    FAILS(open("/out/a", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
    FAILS(open("/out", O_WRONLY), EISDIR);
    FAILS(open("/out/a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK(unlink("/out/a") == 0);
    FAILS(unlink("/out/a"), ENOENT);
}

static void directories(void) {
    char path[64];
    CHECK(mkdir("/out/d", 0755) == 0);
    FAILS(mkdir("/out/d", 0755), EEXIST);
    FAILS(mkdir("/out/x/y", 0755), ENOENT);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "/out/d/file-%d", i);
        write_file(path, "x");
    }
    CHECK(entries("/out/d") == 300);
    FAILS(rmdir("/out/d"), ENOTEMPTY);
    FAILS(unlink("/out/d"), EISDIR);

    /* Removing entries while walking must not skip any. */
    DIR *directory = opendir("/out/d");
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] == 'f') CHECK(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
    closedir(directory);
    CHECK(entries("/out/d") == 0);

    CHECK(mkdir("/out/d/e", 0755) == 0);
    FAILS(rename("/out/d", "/out/d/e/d"), EINVAL);
    write_file("/out/d/e/f", "f");
    CHECK(rename("/out/d/e/f", "/out/g") == 0);
    CHECK(strcmp(read_file("/out/g"), "f") == 0);
    write_file("/out/h", "h");
    CHECK(rename("/out/g", "/out/h") == 0);
    CHECK(strcmp(read_file("/out/h"), "f") == 0);
    FAILS(rename("/out/h", "/out/d"), EISDIR);
    FAILS(rename("/out/d", "/out/h"), ENOTDIR);
    CHECK(rename("/out/d/e", "/out/e") == 0);
    CHECK(strcmp(read_file("/out/./d/../h"), "f") == 0);
    CHECK(rmdir("/out/d") == 0 && rmdir("/out/e") == 0 && unlink("/out/h") == 0);
    CHECK(entries("/out") == 0);

    /* A file that is open outlives its name. */
    write_file("/out/open", "still here");
    int file = open("/out/open", O_RDONLY);
    CHECK(unlink("/out/open") == 0);
    CHECK(read(file, path, 10) == 10 && memcmp(path, "still here", 10) == 0);
    close(file);
    /* An open directory does too, but takes no new entries. */
    CHECK(mkdir("/out/gone", 0755) == 0);
    int gone = open("/out/gone", O_RDONLY | O_DIRECTORY);
    CHECK(rmdir("/out/gone") == 0);
    FAILS(openat(gone, "x", O_CREAT | O_WRONLY, 0644), ENOENT);
    close(gone);
}

static void temporary(void) {
    write_file("/tmp/t", "temporary");
    CHECK(strcmp(read_file("/tmp/t"), "temporary") == 0);
    struct stat of;
    struct timespec times[2] = {{1, 5}, {12, 34}};
    CHECK(utimensat(AT_FDCWD, "/tmp/t", times, 0) == 0);
    CHECK(stat("/tmp/t", &of) == 0 && of.st_mtim.tv_sec == 12 && of.st_mtim.tv_nsec == 34);
    CHECK(of.st_atim.tv_sec == 1 && of.st_atim.tv_nsec == 5);
    struct timespec one[2] = {{0, UTIME_OMIT}, {56, 0}};
    CHECK(utimensat(AT_FDCWD, "/tmp/t", one, 0) == 0);
    CHECK(stat("/tmp/t", &of) == 0 && of.st_mtim.tv_sec == 56 && of.st_atim.tv_sec == 1);
    /* What is moved elsewhere keeps all of itself. */
    CHECK(rename("/tmp/t", "/out/moved") == 0);
    CHECK(strcmp(read_file("/out/moved"), "temporary") == 0);
    CHECK(rename("/out/moved", "/tmp/t") == 0);
    CHECK(mkdir("/tmp/tree", 0755) == 0 && mkdir("/tmp/tree/in", 0755) == 0);
    write_file("/tmp/tree/in/t", "moved");
    CHECK(rename("/tmp/tree", "/out/tree") == 0);
    CHECK(strcmp(read_file("/out/tree/in/t"), "moved") == 0);
    CHECK(unlink("/out/tree/in/t") == 0 && rmdir("/out/tree/in") == 0 && rmdir("/out/tree") == 0);
}

/* Relative paths begin at "/", which is like /tmp. */
static void working(void) {
    char here[16];
    CHECK(getcwd(here, sizeof here) != NULL && strcmp(here, "/") == 0);
    write_file("scratch", "mine");
    CHECK(strcmp(read_file("/scratch"), "mine") == 0);
    CHECK(mkdir("d", 0755) == 0 && rename("scratch", "d/s") == 0);
    CHECK(strcmp(read_file("d/../d/s"), "mine") == 0);
    CHECK(chdir("d") == 0 && strcmp(read_file("s"), "mine") == 0 && strcmp(read_file("/in/sub/given"), "given\n") == 0);
    CHECK(chdir("/") == 0 && unlink("d/s") == 0 && rmdir("d") == 0);
    CHECK(strcmp(read_file("in/sub/given"), "given\n") == 0);
}

int main(void) {
    inputs();
    working();
    ways_out();
    writing();
    directories();
    temporary();
    CHECK(mkdir("/out/deep", 0755) == 0 && mkdir("/out/deep/er", 0755) == 0);
    write_file("/out/deep/er/result", "result");
    write_file("/out/b", "b");
    CHECK(isatty(1) == 0);
    return failed;
}
