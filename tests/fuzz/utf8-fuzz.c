/*
 * Text that comes in pieces is UTF-8 exactly when it is in one: the first
 * octet says where it is cut.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct utf8_torn torn = {{0}, 0};
    const char *text = (const char *)data + 1;
    size_t piece = size == 0 ? 0 : 1 + data[0] % 16;
    bool is_good = true;

    if (size == 0)
        return 0;
    size--;
    for (size_t at = 0; at < size && is_good; at += piece)
        is_good = utf8_continues(&torn, text + at,
                                 size - at < piece ? size - at : piece);
    if ((is_good && torn.used == 0) != utf8_is_valid(text, size))
        abort();
    return 0;
}
