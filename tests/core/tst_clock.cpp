// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/clock.h"
#include "tests/support/check.h"

TEST(rfc3339_roundTripsMicroseconds)
{
    const auto time = desk::parseRfc3339("2026-11-21T10:06:00.250311Z");
    CHECK(time.has_value());
    CHECK_EQUAL(time->time_since_epoch().count(), 1795255560250311LL);
    CHECK_EQUAL(desk::toRfc3339(*time), "2026-11-21T10:06:00.250311Z");
}

TEST(rfc3339_mixedPrecisionIsOneOrder)
{
    const auto whole = desk::parseRfc3339("2026-11-21T10:05:09Z");
    const auto tenth = desk::parseRfc3339("2026-11-21T10:05:09.4Z");
    const auto nanos = desk::parseRfc3339("2026-11-21T10:05:09.400000001Z");
    CHECK(whole && tenth && nanos);
    CHECK(*whole < *tenth);
    CHECK(*tenth == *nanos);
}

TEST(rfc3339_offsetIsApplied)
{
    CHECK(desk::parseRfc3339("2026-11-21T12:05:09+02:00")
        == desk::parseRfc3339("2026-11-21T10:05:09Z"));
    CHECK(desk::parseRfc3339("2026-11-21T04:35:09-05:30")
        == desk::parseRfc3339("2026-11-21T10:05:09Z"));
}

TEST(rfc3339_malformedIsRefused)
{
    for (const char* text :
        { "", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-21T25:00:00Z",
            "2026-11-21T10:05:09", "2026-11-21T10:05:09.Z", "2026-11-21T10:05:09.1234567890Z",
            "2026-11-21T10:05:09Zx", "2026-11-21T10:05:09+2:00" })
        CHECK(!desk::parseRfc3339(text).has_value());
}

CHECK_MAIN()
