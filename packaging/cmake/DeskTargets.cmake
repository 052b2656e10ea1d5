# SPDX-License-Identifier: GPL-3.0-or-later
# Targets that carry flags, and the functions that make a layer, a program and a test from a list of sources.

find_package(Threads REQUIRED)
if(DESK_DEPS_DIR)
  list(APPEND CMAKE_PREFIX_PATH ${DESK_DEPS_DIR} ${DESK_DEPS_DIR}/usr)
endif()

# Linked PRIVATE everywhere: warnings and sanitizers are no part of an interface.
add_library(desk_options INTERFACE)
target_compile_options(desk_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wextra-semi>)
# No -Wnull-dereference: with GCC 12 and optimization it reports libstdc++'s own strings and every QPointer.
if(DESK_WERROR)
  target_compile_options(desk_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(DESK_SANITIZE)
  target_compile_options(desk_options INTERFACE -fsanitize=${DESK_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(desk_options INTERFACE -fsanitize=${DESK_SANITIZE})
  # Gives false positives in code that the sanitizers instrument.
  target_compile_options(desk_options INTERFACE -Wno-maybe-uninitialized)
endif()
target_link_libraries(desk_options INTERFACE Threads::Threads)

if(DESK_GUI)
  find_package(Qt6 6.4 REQUIRED COMPONENTS Core Gui Widgets Charts Network Sql Svg Concurrent DBus Test)
  find_package(Qt6Keychain REQUIRED)
  set(CMAKE_AUTOMOC ON)
  set(CMAKE_AUTORCC ON)

  add_library(desk_qt_options INTERFACE)
  target_compile_definitions(desk_qt_options INTERFACE
    QT_NO_CAST_FROM_ASCII QT_NO_CAST_TO_ASCII QT_NO_CAST_FROM_BYTEARRAY QT_NO_URL_CAST_FROM_STRING
    QT_NO_NARROWING_CONVERSIONS_IN_CONNECT QT_NO_KEYWORDS QT_NO_FOREACH QT_USE_QSTRINGBUILDER
    QT_DISABLE_DEPRECATED_BEFORE=0x060400)
endif()

# desk_add_layer(name [QT_FREE] [PCH <kind>] SOURCES … HEADERS … PUBLIC … PRIVATE …)
# A static library desk_<name>, alias desk::<name>. PCH kinds: qtcore, widgets (Qt layers), none.
function(desk_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "QT_FREE" "PCH" "SOURCES;HEADERS;PUBLIC;PRIVATE")
  add_library(desk_${name} STATIC)
  add_library(desk::${name} ALIAS desk_${name})
  target_sources(desk_${name} PRIVATE ${arg_SOURCES}
    PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${arg_HEADERS})
  target_include_directories(desk_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  # The header check compiles with the interface only, so the standard must be public.
  target_compile_features(desk_${name} PUBLIC cxx_std_20)
  target_link_libraries(desk_${name} PUBLIC ${arg_PUBLIC} PRIVATE desk_options ${arg_PRIVATE})
  if(arg_QT_FREE)
    set_target_properties(desk_${name} PROPERTIES AUTOMOC OFF AUTORCC OFF)
  else()
    target_link_libraries(desk_${name} PRIVATE desk_qt_options)
  endif()
  desk_use_pch(desk_${name} "${arg_PCH}")
endfunction()

# One precompiled header per kind, built once and reused.
function(desk_use_pch target kind)
  if(NOT DESK_PCH OR NOT kind OR kind STREQUAL "none")
    return()
  endif()
  if(NOT TARGET desk_pch_${kind})
    set(stub ${PROJECT_BINARY_DIR}/pch_${kind}.cpp)
    file(GENERATE OUTPUT ${stub} CONTENT "// Only carries the precompiled header.\n")
    add_library(desk_pch_${kind} STATIC ${stub})
    set_target_properties(desk_pch_${kind} PROPERTIES AUTOMOC OFF AUTORCC OFF UNITY_BUILD OFF)
    target_compile_features(desk_pch_${kind} PUBLIC cxx_std_20)
    target_include_directories(desk_pch_${kind} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(desk_pch_${kind} PRIVATE desk_options desk_qt_options)
    if(kind STREQUAL "qtcore")
      target_link_libraries(desk_pch_${kind} PRIVATE Qt6::Core)
      target_precompile_headers(desk_pch_${kind} PRIVATE
        <QByteArray> <QDateTime> <QFuture> <QFutureWatcher> <QHash> <QList> <QObject> <QPromise> <QString>
        <QStringList> <QTimer> <QUrl> <functional> <memory> <optional> <string> <vector>)
    else()
      target_link_libraries(desk_pch_${kind} PRIVATE Qt6::Widgets)
      target_precompile_headers(desk_pch_${kind} PRIVATE
        <QAbstractItemModel> <QAction> <QApplication> <QBoxLayout> <QByteArray> <QColor> <QDateTime> <QFuture> <QHash>
        <QLabel> <QList> <QMenu> <QObject> <QPainter> <QPushButton> <QString> <QStringList> <QStyle> <QTableView>
        <QTimer> <QWidget> <functional> <memory> <optional> <string> <vector>)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM desk_pch_${kind})
endfunction()

# desk_add_program(name [QT_FREE] SOURCES … LIBS …)
function(desk_add_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "QT_FREE" "" "SOURCES;LIBS")
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE desk_options ${arg_LIBS})
  if(arg_QT_FREE)
    set_target_properties(${name} PROPERTIES AUTOMOC OFF AUTORCC OFF)
  else()
    target_link_libraries(${name} PRIVATE desk_qt_options)
  endif()
endfunction()

# desk_add_test(tst_name [QT_FREE] [SLOW] SOURCES … LIBS … [LABELS …] [ARGS …] [TIMEOUT s])
# One executable per file. DESK_TEST_DATA points at tests/data, DESK_BIN_DIR at the built programs.
function(desk_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "QT_FREE;SLOW" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS")
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests UNITY_BUILD OFF)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_definitions(${name} PRIVATE DESK_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
    DESK_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DESK_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  target_link_libraries(${name} PRIVATE desk_options ${arg_LIBS})
  if(arg_QT_FREE)
    set_target_properties(${name} PROPERTIES AUTOMOC OFF AUTORCC OFF)
  else()
    target_link_libraries(${name} PRIVATE desk_qt_options Qt6::Test)
  endif()
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(arg_SLOW)
    list(APPEND arg_LABELS slow)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" SKIP_RETURN_CODE 77
    ENVIRONMENT "QT_QPA_PLATFORM=offscreen;UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1")
endfunction()
