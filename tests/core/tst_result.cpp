// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/result.h"
#include "tests/support/check.h"

using desk::Error;
using desk::Result;

namespace {
Result<int> half(int value)
{
    if (value % 2 != 0)
        return Error { Error::Code::Refused, "odd", {}, {}, {} };
    return value / 2;
}
} // namespace

TEST(value_isHeld)
{
    const auto result = half(8);
    CHECK(result.has_value());
    CHECK_EQUAL(*result, 4);
    CHECK_EQUAL(result.value_or(-1), 4);
}

TEST(error_isHeld)
{
    const auto result = half(3);
    CHECK(!result);
    CHECK_EQUAL(result.error().message, "odd");
    CHECK(result.error().code == Error::Code::Refused);
    CHECK_EQUAL(result.value_or(-1), -1);
}

TEST(andThen_stopsAtTheFirstError)
{
    CHECK_EQUAL(*half(8).and_then(half), 2);
    CHECK_EQUAL(half(6).and_then(half).error().message, "odd");
    CHECK_EQUAL(*half(8).transform([](int v) { return v + 0.5; }), 4.5);
}

TEST(codes_areTheWordsOfTheCommandLine)
{
    CHECK_EQUAL(std::string(desk::toString(Error::Code::NotFound)), "not_found");
    CHECK_EQUAL(std::string(desk::toString(Error::Code::Canceled)), "cancelled");
    CHECK_EQUAL(std::string(desk::toString(Error::Code::Full)), "full");
    CHECK_EQUAL(std::string(desk::toString(Error::Code::Unknown)), "unknown");
}

CHECK_MAIN()
