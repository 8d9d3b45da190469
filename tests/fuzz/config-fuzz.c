/* renews.conf: any octets give a configuration that prints and reads back the
   same, or an error that names a place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    char *text = xmemdup(octets, length);
    struct buffer why = BUFFER_EMPTY;
    struct buffer one = BUFFER_EMPTY;
    struct buffer two = BUFFER_EMPTY;
    struct config *config;
    struct config *again;

    /* The file system is no part of this, and may hold a terminal. */
    if (strstr(text, "include") != NULL) {
        free(text);
        return 0;
    }
    config = config_parse("fuzz", text, &why);
    if (config == NULL) {
        if (strncmp(buffer_text(&why), "fuzz:", 5) != 0
            || strstr(why.data, ": found ") == NULL
            || strstr(why.data, ", expected ") == NULL)
            abort();
    } else {
        config_print(config, &one);
        again = config_parse("again", buffer_text(&one), &why);
        if (again == NULL)
            abort();
        config_print(again, &two);
        if (strcmp(one.data, two.data) != 0)
            abort();
        config_free(&again);
        config_free(&config);
    }
    buffer_free(&why);
    buffer_free(&one);
    buffer_free(&two);
    free(text);
    return 0;
}
