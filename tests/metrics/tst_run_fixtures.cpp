// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/run_description.h"
#include "tests/support/check.h"
#include "tests/support/run_compare.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

namespace fs = std::filesystem;

std::string textOf(const fs::path& path)
{
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

/// DESK_RUN_FIXTURES names another folder of fixtures.
fs::path fixtures()
{
    const char* other = std::getenv("DESK_RUN_FIXTURES");
    return other != nullptr ? fs::path(other) : fs::path(DESK_TEST_DATA) / "metrics";
}

int failuresOf(const fs::path& folder)
{
    const auto expected = nlohmann::json::parse(textOf(folder / "expected.json"));
    const auto described = desk::describeRuns(folder / "run", { {}, true, true });
    if (!described) {
        std::printf("  %s: %s\n", folder.filename().c_str(), described.error().message.c_str());
        return 1;
    }
    const auto actual = nlohmann::json::parse(*described);
    const auto differences = desk::test::RunComparison::compare(expected, actual);
    std::printf("  %s %s\n", differences.empty() ? "ok  " : "FAIL", folder.filename().c_str());
    for (const std::string& difference : differences)
        std::printf("    %s\n", difference.substr(0, 300).c_str());
    return differences.empty() ? 0 : 1;
}

} // namespace

TEST(everyJsonLinesFixture_isReadAsExpected)
{
    int failed = 0;
    int seen = 0;
    for (const auto& entry : fs::directory_iterator(fixtures())) {
        const std::string name = entry.path().filename().string();
        const bool isJsonLines = name.starts_with("jsonl-") || name.starts_with("tinker-")
            || (name.starts_with("fireworks-") && name != "fireworks-stdout");
        if (!isJsonLines || !entry.is_directory())
            continue;
        ++seen;
        failed += failuresOf(entry.path());
    }
    CHECK(seen >= 19);
    CHECK_EQUAL(failed, 0);
}

TEST(aMissingPath_isUnreadableAndSaysWhat)
{
    const auto described = desk::describeRuns(fixtures() / "no-such-folder", {});
    CHECK(!described);
    CHECK_EQUAL(toString(described.error().code), std::string("unreadable"));
    CHECK(described.error().message.find("no-such-folder") != std::string::npos);
}

TEST(aFolderWithoutALedger_isMalformed)
{
    const auto described =
        desk::describeRuns(fixtures() / "jsonl-empty" / "run" / "metrics.jsonl", {});
    CHECK(!described);
    CHECK_EQUAL(toString(described.error().code), std::string("malformed"));
}

CHECK_MAIN()
