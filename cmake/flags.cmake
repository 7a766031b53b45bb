# SPDX-License-Identifier: Apache-2.0
# The one place for compiler flags: every target of ours links sluice_flags PRIVATE.
option(SLUICE_WERROR "Warnings are errors (CI)" OFF)
option(SLUICE_HARDEN "Hardening flags of a release build" OFF)
option(SLUICE_FAULTS "Fault points and breakable rules (common/base/fault.h): test builds only" OFF)
set(SLUICE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)

add_library(sluice_flags INTERFACE)
target_compile_definitions(sluice_flags INTERFACE _GNU_SOURCE)
target_compile_options(sluice_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla
    -Wswitch-enum -Wundef -Wcast-qual -Wwrite-strings -fno-omit-frame-pointer)
if(SLUICE_FAULTS)
    target_compile_definitions(sluice_flags INTERFACE SLUICE_FAULTS)
endif()
if(SLUICE_WERROR)
    target_compile_options(sluice_flags INTERFACE -Werror)
endif()
if(SLUICE_SANITIZE)
    target_compile_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()
if(SLUICE_HARDEN)
    target_compile_options(sluice_flags INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE)
    target_link_options(sluice_flags INTERFACE -Wl,-z,relro,-z,now -pie)
endif()
