/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher.h"

int main(int argc, char **argv)
{
    return daemon_main(&dispatcher_program, argc, argv);
}
