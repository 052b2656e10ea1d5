// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Asserts for the tests of the Qt-free layers, which must also run where nothing but a compiler is.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace desk::check {

struct Case
{
    const char* name;
    void (*run)();
};

inline std::vector<Case>& cases()
{
    static std::vector<Case> all;
    return all;
}

struct Register
{
    Register(const char* name, void (*run)()) { cases().push_back({ name, run }); }
};

struct Failure : std::exception
{
};
struct Skip : std::exception
{
    explicit Skip(std::string text)
        : reason(std::move(text))
    {
    }
    std::string reason;
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& text)
{
    std::fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
    throw Failure {};
}

template <class T>
std::string show(const T& value)
{
    std::ostringstream out;
    out.precision(17);
    if constexpr (requires { out << value; })
        out << value;
    else
        out << "<value>";
    return out.str();
}

template <class A, class B>
void equal(const char* file, int line, const char* text, const A& actual, const B& expected)
{
    if (!(actual == expected))
        fail(file, line,
            std::string(text) + ": got " + show(actual) + ", expected " + show(expected));
}

/// Runs every case, or those whose name contains argv[1]. 77 when all that ran were skipped.
inline int runAll(int argc, char** argv)
{
    int passed = 0;
    int failed = 0;
    int skipped = 0;
    for (const auto& test : cases()) {
        if (argc > 1 && std::string_view(test.name).find(argv[1]) == std::string_view::npos)
            continue;
        try {
            test.run();
            ++passed;
            std::printf("PASS   %s\n", test.name);
        } catch (const Failure&) {
            ++failed;
            std::printf("FAIL   %s\n", test.name);
        } catch (const Skip& skip) {
            ++skipped;
            std::printf("SKIP   %s: %s\n", test.name, skip.reason.c_str());
        } catch (const std::exception& error) {
            ++failed;
            std::printf("FAIL   %s: %s\n", test.name, error.what());
        }
    }
    std::printf("Totals: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    if (failed > 0)
        return 1;
    return passed == 0 && skipped > 0 ? 77 : 0;
}

} // namespace desk::check

// One case: TEST(condition_expectation) { CHECK(...); CHECK_EQUAL(actual, expected); }
#define TEST(name)                                                                                 \
    static void name();                                                                            \
    static const desk::check::Register register_##name { #name, name };                            \
    static void name()
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            desk::check::fail(__FILE__, __LINE__, "CHECK failed: " #condition);                    \
    } while (false)
#define CHECK_EQUAL(actual, expected)                                                              \
    desk::check::equal(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_MAIN()                                                                               \
    int main(int argc, char** argv)                                                                \
    {                                                                                              \
        return desk::check::runAll(argc, argv);                                                    \
    }
