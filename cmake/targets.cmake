# SPDX-License-Identifier: Apache-2.0
# Link lines are the law of who may include whom: a library sees what its LINKS name and nothing else.

# sluice_library(NAME SOURCES… LINKS… [FOREIGN…]): one library a folder of common/. Headers are
# included as "base/err.h": the folder above is the include root. LINKS are ours and appear in our
# headers; FOREIGN are third-party and never do.
function(sluice_library name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS;FOREIGN" ${ARGN})
    add_library(${name} STATIC ${A_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/common)
    target_link_libraries(${name} PUBLIC ${A_LINKS} PRIVATE sluice_flags ${A_FOREIGN})
endfunction()

# sluice_program(BINARY CORE SOURCES… LINKS…): <CORE> is the library with everything but main.c.
function(sluice_program binary core)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS;FOREIGN" ${ARGN})
    add_library(${core} STATIC ${A_SOURCES})
    target_include_directories(${core} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${core} PUBLIC ${A_LINKS} PRIVATE sluice_flags ${A_FOREIGN})
    add_executable(${binary} main.c)
    target_link_libraries(${binary} PRIVATE sluice_flags ${core})
endfunction()

# sluice_unit_test(NAME SOURCES… LINKS…): a cmocka program under build/<preset>/bin/unit/.
function(sluice_unit_test name)
    cmake_parse_arguments(A "" "" "SOURCES;LINKS;FOREIGN" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/unit)
    target_link_libraries(${name} PRIVATE sluice_flags ${A_LINKS} ${A_FOREIGN} cmocka)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 60)
endfunction()
