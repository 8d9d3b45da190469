/*
 * Any octets as a date: what is understood is written and read again as the
 * same moment.  The same octets, cut in two, as arguments of NEWNEWS.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
check_written(int64_t time)
{
    char text[DATE_OCTETS];
    int64_t again;

    date_format(time, text);
    must(date_parse(text, strlen(text), &again) == 0);
    must(again == time);
}

static void
check_command(const char *octets, size_t size)
{
    const size_t cut = size < 8 ? size : 8;
    char date[9] = "";
    char hours[7] = "";
    char text[DATE_OCTETS];
    int64_t time;

    memcpy(date, octets, cut);
    memcpy(hours, octets + cut, size - cut < 6 ? size - cut : 6);
    if (date_parse_command(date, hours, 1795467845, &time) < 0)
        return;
    check_written(time);
    date_format_compact(time, text);
    /* A leap second is the next one's first. */
    if (strlen(date) == 8 && strcmp(hours + 4, "60") != 0) {
        must(strncmp(text, date, 8) == 0);
        must(strcmp(text + 8, hours) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    int64_t time;

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    /* The years 0 and 10000 can be reached by a zone alone. */
    if (date_parse(copy, size, &time) == 0 && time >= -62167219200
        && time <= 253402300799)
        check_written(time);
    check_command(copy, size);
    free(copy);
    return 0;
}
