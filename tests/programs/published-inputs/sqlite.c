// Runs the SQL files below each folder that its arguments name after the first, in the order of their names, on the database that
// the first argument names. Prints the rows.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sqlite3.h"

static int row(void *unused, int columns, char **values, char **names) {
    (void)unused, (void)names;
    for (int column = 0; column < columns; column++)
        printf("%s%s", column ? "|" : "", values[column] ? values[column] : "NULL");
    putchar('\n');
    return 0;
}

static void run(sqlite3 *db, const char *folder, const char *name) {
    char path[4096], *error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(1);
    static char text[1 << 20];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    if (sqlite3_exec(db, text, row, NULL, &error)) fprintf(stderr, "%s: %s\n", path, error), exit(1);
}

int main(int count, char **arguments) {
    sqlite3 *db;
    if (count < 2 || sqlite3_open(arguments[1], &db)) {
        fprintf(stderr, "no database: %s\n", count < 2 ? "name one" : sqlite3_errmsg(db));
        return 1;
    }
    for (int i = 2; i < count; i++) {
        struct dirent **entries;
        int found = scandir(arguments[i], &entries, NULL, alphasort);
        if (found < 0) perror(arguments[i]), exit(1);
        for (int j = 0; j < found; j++)
            if (entries[j]->d_name[0] != '.') run(db, arguments[i], entries[j]->d_name);
    }
    return sqlite3_close(db) != SQLITE_OK;
}
