// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/ledger_tail.h"
#include "tests/support/check.h"

#include <cmath>
#include <fstream>
#include <unistd.h>

using desk::JsonlReader;
using desk::LedgerTail;
using desk::SeriesSnapshot;
using desk::SeriesStore;

namespace {

namespace fs = std::filesystem;

/// A folder of its own, removed at the end.
class TempFolder
{
public:
    TempFolder()
    {
        std::string name = (fs::temp_directory_path() / "desk-metrics-XXXXXX").string();
        m_path = ::mkdtemp(name.data());
    }
    ~TempFolder()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    [[nodiscard]] fs::path file(const char* name) const { return m_path / name; }

private:
    fs::path m_path;
};

void write(const fs::path& path, const std::string& text, bool append = false)
{
    std::ofstream out(path, std::ios::binary | (append ? std::ios::app : std::ios::trunc));
    out << text;
}

} // namespace

TEST(bytesCutAnywhere_giveTheSameSamples)
{
    const std::string text = "\xEF\xBB\xBF{\"step\": 0, \"loss\": 1.5, \"a\": {\"b\": NaN}}\r\n\r\n"
                             "broken\n{\"step\": 1, \"loss\": 0.25, \"a\": {\"b\": 2}}\n";
    for (std::size_t piece = 1; piece < text.size(); ++piece) {
        SeriesStore store;
        JsonlReader reader(store);
        for (std::size_t at = 0; at < text.size(); at += piece)
            reader.feed(std::string_view(text).substr(at, piece));
        reader.finish();
        const SeriesSnapshot loss = store.snapshot("loss");
        CHECK_EQUAL(loss.size(), std::size_t { 2 });
        CHECK_EQUAL(loss.value(1), 0.25);
        CHECK_EQUAL(store.snapshot("a.b").size(), std::size_t { 2 });
        CHECK_EQUAL(reader.report().skipped, std::uint64_t { 1 });
        CHECK_EQUAL(reader.report().skippedLines.front().line, std::uint64_t { 3 });
        CHECK_EQUAL(reader.report().lines, std::uint64_t { 4 });
    }
}

TEST(aTailThatWasTakenWhole_isNotCountedAgainWhenItsNewlineComes)
{
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed("{\"step\": 1, \"loss\": 1}");
    reader.finish();
    reader.finish();
    CHECK_EQUAL(store.snapshot("loss").size(), std::size_t { 1 });
    reader.feed("\n{\"step\": 2, \"loss\": 2}\n");
    CHECK_EQUAL(store.snapshot("loss").size(), std::size_t { 2 });
    CHECK_EQUAL(reader.report().skipped, std::uint64_t { 0 });
}

TEST(aTornTail_isHeldBackUntilTheRestArrives)
{
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed("{\"step\": 1, \"lo");
    reader.finish();
    CHECK_EQUAL(reader.report().tornBytes, std::uint64_t { 15 });
    CHECK_EQUAL(reader.report().skipped, std::uint64_t { 0 });
    reader.feed("ss\": 4}\n");
    CHECK_EQUAL(store.snapshot("loss").value(0), 4.0);
    CHECK_EQUAL(reader.report().tornBytes, std::uint64_t { 0 });
}

TEST(aLineWithoutEnd_costsItselfAndNoMemory)
{
    SeriesStore store;
    JsonlReader reader(store);
    const std::string block(std::size_t { 1 } << 20, 'x');
    for (int i = 0; i < 40; ++i)
        reader.feed(block);
    reader.feed("\n{\"step\": 3, \"loss\": 9}\n");
    CHECK_EQUAL(reader.report().skipped, std::uint64_t { 1 });
    CHECK_EQUAL(reader.report().skippedLines.front().why, std::string("longer than 16 MiB"));
    CHECK_EQUAL(store.snapshot("loss").value(0), 9.0);
}

TEST(deepNesting_isRefusedWithoutRecursion)
{
    SeriesStore store;
    JsonlReader reader(store);
    std::string line = "{\"step\": 1, \"x\": ";
    for (int i = 0; i < 200'000; ++i)
        line += "{\"a\":";
    reader.feed(line + "\n{\"step\": 2, \"loss\": 1}\n");
    CHECK_EQUAL(reader.report().skipped, std::uint64_t { 1 });
    CHECK_EQUAL(store.snapshot("loss").size(), std::size_t { 1 });
}

TEST(everyBrokenLine_hasAReason)
{
    const char* lines[] = { "[1]", "12", "\"text\"", "{\"a\":1", "{\"a\":1}}", "{\"a\":1}{\"a\":1}",
        "{\"a\" 1}", "{a:1}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":nan}",
        "{\"a\":\"\\x\"}", "{\"a\":\"b}", "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":tru}",
        "{\"a\":1,}", "{\"\\ud800\":1e}", "{\"l\":[1,,2],\"a\":1}" };
    SeriesStore store;
    JsonlReader reader(store);
    std::uint64_t wanted = 0;
    for (const char* line : lines) {
        reader.feed(std::string(line) + "\n");
        ++wanted;
        if (reader.report().skipped != wanted)
            std::printf("  was taken: %s\n", line);
        CHECK_EQUAL(reader.report().skipped, wanted);
        CHECK(!reader.report().skippedLines.back().why.empty());
    }
    CHECK_EQUAL(store.seriesCount(), std::size_t { 0 });
}

TEST(mediaObjects_areNoMetrics)
{
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed("{\"step\":1,\"img\":{\"_type\":\"image-file\",\"size\":7},\"loss\":2}\n"
                "{\"step\":2,\"img\":{\"size\":7,\"_type\":\"image-file\"},\"loss\":NaN}\n");
    CHECK_EQUAL(store.seriesCount(), std::size_t { 1 });
    CHECK_EQUAL(store.snapshot("loss").size(), std::size_t { 2 });
}

TEST(timestampsOfALine_becomeWallTimes)
{
    SeriesStore store;
    JsonlReader reader(store);
    reader.feed("{\"step\":1,\"loss\":2,\"timestamp\":\"2026-11-25T09:00:00.5Z\"}\n", 7);
    reader.feed(
        "{\"step\":2,\"loss\":2,\"_timestamp\":1700000000.25}\n{\"step\":3,\"loss\":1}\n", 7);
    const SeriesSnapshot loss = store.snapshot("loss");
    CHECK_EQUAL(loss.wallUs(0), std::int64_t { 1'795'597'200'500'000 });
    CHECK_EQUAL(loss.wallUs(1), std::int64_t { 1'700'000'000'250'000 });
    CHECK_EQUAL(loss.wallUs(2), std::int64_t { 7 });
    CHECK(store.snapshot("timestamp").isNull());
}

TEST(aTail_followsAGrowingFile)
{
    const TempFolder folder;
    const fs::path file = folder.file("metrics.jsonl");
    LedgerTail tail(file, std::make_shared<SeriesStore>());
    CHECK(tail.poll().has_value());
    CHECK_EQUAL(tail.report().rows, std::uint64_t { 0 });
    write(file, "{\"step\":1,\"loss\":2}\n{\"step\":2,\"lo");
    CHECK_EQUAL(tail.poll()->newBytes, std::uint64_t { 33 });
    CHECK_EQUAL(tail.store()->snapshot("loss").size(), std::size_t { 1 });
    write(file, "ss\":5}\n", true);
    const auto progress = tail.poll(99);
    CHECK(progress.has_value() && !progress->restarted && progress->atEnd);
    CHECK_EQUAL(tail.store()->snapshot("loss").value(1), 5.0);
    CHECK_EQUAL(tail.store()->snapshot("loss").wallUs(1), std::int64_t { 99 });
}

TEST(aReplacedOrShorterFile_isReadFromItsStart)
{
    const TempFolder folder;
    const fs::path file = folder.file("metrics.jsonl");
    write(file, "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":3}\n");
    LedgerTail tail(file, std::make_shared<SeriesStore>());
    CHECK(tail.poll().has_value());
    const SeriesSnapshot old = tail.store()->snapshot("loss");
    write(file, "{\"step\":1,\"loss\":8}\n");
    CHECK(tail.poll()->restarted);
    CHECK_EQUAL(tail.store()->snapshot("loss").size(), std::size_t { 1 });
    CHECK_EQUAL(tail.store()->snapshot("loss").value(0), 8.0);
    CHECK_EQUAL(old.size(), std::size_t { 2 });

    write(folder.file("new.jsonl"), "{\"step\":5,\"loss\":1}\n{\"step\":6,\"loss\":1}\n");
    fs::rename(folder.file("new.jsonl"), file);
    CHECK(tail.poll()->restarted);
    CHECK_EQUAL(tail.store()->snapshot("loss").size(), std::size_t { 2 });
}

TEST(aBetterXKeyThatAppearsLate_isUsedForAllRows)
{
    const TempFolder folder;
    const fs::path file = folder.file("metrics.jsonl");
    write(file, "{\"loss\":2}\n{\"epoch\":0.5,\"loss\":3}\n");
    LedgerTail tail(file, std::make_shared<SeriesStore>());
    while (!tail.poll()->atEnd) { }
    CHECK_EQUAL(tail.report().xKey, std::string("epoch"));
    write(file, "{\"step\":7,\"epoch\":1,\"loss\":4}\n", true);
    while (!tail.poll()->atEnd) { }
    CHECK_EQUAL(tail.report().xKey, std::string("step"));
    const SeriesSnapshot loss = tail.store()->snapshot("loss");
    CHECK_EQUAL(loss.size(), std::size_t { 3 });
    CHECK_EQUAL(loss.x(2), 7.0);
    CHECK_EQUAL(tail.store()->snapshot("epoch").size(), std::size_t { 2 });
    CHECK(tail.store()->snapshot("step").isNull());
}

TEST(aFolderInPlaceOfALedger_isUnreadable)
{
    const TempFolder folder;
    LedgerTail tail(folder.file(""), std::make_shared<SeriesStore>());
    const auto progress = tail.poll();
    CHECK(!progress.has_value());
    CHECK_EQUAL(toString(progress.error().code), std::string("unreadable"));
}

CHECK_MAIN()
