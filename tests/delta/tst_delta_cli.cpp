// SPDX-License-Identifier: GPL-3.0-or-later
// trainerdesk-delta from outside: exit codes, JSON, signals, a full disk, a kill.

#include "tests/delta/support.h"

#include <chrono>
#include <csignal>
#include <thread>

using namespace desk;
using namespace desk::test;

namespace {

const std::string kArc = (kData / "arc/").string();
const std::string kField = (kData / "field/").string();
const std::string kBase = kArc + "bf16_1pct/base.safetensors";
const std::string kNew = kArc + "bf16_1pct/new.safetensors";
const std::string kDelta = kArc + "bf16_1pct/delta.arc_v2.safetensors";

/// A pair whose delta takes a while to apply.
struct BigPair
{
    TempFolder folder;
    BigPair()
    {
        constexpr std::size_t kMany = 24'000'000;
        const auto values = trainedValues(1'000'000, 1);
        std::vector<std::uint16_t> old;
        while (old.size() < kMany)
            old.insert(old.end(), values.begin(), values.end());
        CHECK(writeSafetensors(folder / "old.safetensors", std::array { viewOf("w", old) }));
        const auto fresh = nextValues(std::move(old), 50);
        CHECK(writeSafetensors(folder / "new.safetensors", std::array { viewOf("w", fresh) }));
        CHECK(openEngine()->diff({ folder / "old.safetensors", folder / "new.safetensors",
                                     folder / "d.safetensors", 1, 2 },
            {}));
    }
    [[nodiscard]] std::vector<std::string> applyArguments() const
    {
        return { "apply", (folder / "old.safetensors").string(),
            (folder / "d.safetensors").string(), "-o", (folder / "out.safetensors").string() };
    }
    /// Sends the signal once the program has begun to write.
    [[nodiscard]] std::function<void(pid_t)> signalWhenWriting(int signal) const
    {
        return [this, signal](pid_t pid) {
            const auto before = folder.names().size();
            const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
            while (folder.names().size() == before && std::chrono::steady_clock::now() < end)
                std::this_thread::yield();
            ::kill(pid, signal);
        };
    }
};

/// Applies and signals while the output is being written. On a busy machine the program may be done
/// before the signal comes; then it says nothing about the signal, and the next try is taken.
auto runInterrupted(const BigPair& pair, int signal)
{
    auto result = runDelta(pair.applyArguments(), 0, pair.signalWhenWriting(signal));
    for (int tries = 0; tries < 20 && result.exitCode == 0; ++tries) {
        fs::remove(pair.folder / "out.safetensors");
        result = runDelta(pair.applyArguments(), 0, pair.signalWhenWriting(signal));
    }
    return result;
}

} // namespace

TEST(exit_codes_say_what_happened)
{
    TempFolder folder;
    const auto out = (folder / "out.safetensors").string();
    CHECK_EQUAL(runDelta({ "--version" }).exitCode, 0);
    CHECK_EQUAL(runDelta({ "--help" }).exitCode, 0);
    CHECK_EQUAL(runDelta({ "verify", kBase, kDelta }).exitCode, 0);
    CHECK_EQUAL(runDelta({ "verify", kBase, kDelta, "--target", kNew }).exitCode, 0);
    CHECK_EQUAL(runDelta({ "compare", kNew, kNew }).exitCode, 0);
    CHECK_EQUAL(runDelta({ "compare", kBase, kNew }).exitCode, 1);
    CHECK_EQUAL(runDelta({ "compare", kField + "P009/whole", kField + "P009/short" }).exitCode, 1);
    CHECK_EQUAL(runDelta({ "verify", kArc + "wrong_parent/base.safetensors", kDelta }).exitCode, 1);
    CHECK_EQUAL(
        runDelta({ "apply", kArc + "wrong_parent/base.safetensors", kDelta, "-o", out }).exitCode,
        1);
    CHECK_EQUAL(runDelta({ "apply", kBase, kDelta, "-o", kBase }).exitCode, 1);
    CHECK_EQUAL(runDelta({}).exitCode, 2);
    CHECK_EQUAL(runDelta({ "squash", kBase }).exitCode, 2);
    CHECK_EQUAL(runDelta({ "verify", kBase }).exitCode, 2);
    CHECK_EQUAL(runDelta({ "diff", kBase, kNew, "-o", out, "--format", "arc_v9" }).exitCode, 2);
    CHECK_EQUAL(runDelta({ "diff", kBase, kNew, "-o", out, "--level", "99" }).exitCode, 2);
    CHECK_EQUAL(runDelta({ "verify", kBase, kField + "P007/tail12.safetensors" }).exitCode, 3);
    CHECK_EQUAL(runDelta({ "verify", kBase, "/absent" }).exitCode, 3);
    CHECK_EQUAL(runDelta({ "inspect", kField + "P003/overlap.safetensors" }).exitCode, 3);
    CHECK_EQUAL(runDelta({ "inspect", kBase }).exitCode, 0);
    CHECK(folder.names().empty());
}

TEST(json_has_the_promised_keys)
{
    TempFolder folder;
    const auto made = runDelta({ "--json", "diff", kBase, kNew, "-o",
        (folder / "d.safetensors").string(), "--level", "5" });
    CHECK_EQUAL(made.exitCode, 0);
    CHECK_EQUAL(made.errors, std::string());
    for (const auto* key : { "format", "bytes_base", "bytes_new", "bytes_delta", "ratio",
             "changed_fraction", "tensors", "seconds", "device", "kernel" })
        CHECK(contains(made.output, "\"" + std::string(key) + "\":"));
    CHECK(contains(made.output, "\"format\":\"arc_v2\""));
    const auto proved = runDelta({ "verify", kBase, kDelta, "--json" });
    for (const auto* key : { "verdict", "total", "exact", "mismatch", "missing", "extra",
             "not_checked", "first_mismatch", "bytes", "seconds", "device", "kernel", "added",
             "removed", "reshaped", "rows", "name", "dtype", "shape", "changed", "changed_fraction",
             "max_abs_delta", "l2_delta", "nonfinite", "checksum", "status" })
        CHECK(contains(proved.output, "\"" + std::string(key) + "\":"));
    CHECK(contains(proved.output, "\"verdict\":\"exact\""));
    CHECK(contains(proved.output, "\"checksum\":\"f8d85085\""));
    CHECK(contains(proved.output, "\"changed\":300"));
    CHECK_EQUAL(std::count(proved.output.begin(), proved.output.end(), '\n'), 1);
    const auto seen = runDelta({ "inspect", kDelta, "--json" });
    CHECK(contains(seen.output, "\"kind\":\"delta\",\"format\":\"arc_v2\""));
    CHECK(contains(seen.output, "\"checksum\":\"4174925957\""));
    const auto broken = runDelta({ "inspect", kField + "P003/dup_keys.safetensors", "--json" });
    CHECK(contains(broken.output, "\"code\":\"duplicate_name\""));
    CHECK(contains(broken.output, "\"tensor\":\"key00\""));
}

TEST(errors_are_json_too)
{
    for (const auto& arguments : { std::vector<std::string> { "--json", "verify", kBase },
             std::vector<std::string> { "verify", "--json", kBase, "/absent" } }) {
        const auto result = runDelta(arguments);
        CHECK(contains(result.output, "{\"error\":{\"code\":\""));
        CHECK(contains(result.output, "\"unchanged\":"));
        CHECK(contains(result.output, "\"request_id\":null"));
    }
}

TEST(progress_is_json_lines_on_request)
{
    const auto result = runDelta({ "compare", kNew, kNew, "--progress=json" });
    CHECK(contains(result.errors, "{\"event\":\"progress\",\"done\":"));
    CHECK(contains(result.errors, "\"fraction\":1.0"));
    CHECK_EQUAL(runDelta({ "compare", kNew, kNew }).errors, std::string());
}

TEST(the_forced_kernel_is_the_one_that_runs)
{
    const auto forced =
        runDelta({ "compare", kBase, kNew, "--json" }, 0, {}, { "DESK_FORCE_KERNELS=scalar" });
    CHECK(contains(forced.output, "\"kernel\":\"scalar\""));
    const auto version = runDelta({ "--version" }, 0, {}, { "DESK_FORCE_KERNELS=scalar" });
    CHECK(contains(version.output, "kernel: scalar"));
    CHECK(contains(version.output, "CUDA: no"));
    // The same rows as the kernel that would run here.
    const auto usual = runDelta({ "compare", kBase, kNew, "--json" });
    const auto rowsOf = [](const std::string& json) {
        const auto start = json.find("\"rows\":");
        return json.substr(start, json.find("\"stages\":") - start);
    };
    CHECK_EQUAL(rowsOf(forced.output), rowsOf(usual.output));
}

TEST(a_full_disk_is_said_and_leaves_nothing)
{
    TempFolder folder;
    const auto applied = runDelta({ "apply", kArc + "bf16_1pct_big/base.safetensors",
                                      kArc + "bf16_1pct_big/delta.arc_v2.safetensors", "-o",
                                      (folder / "out.safetensors").string(), "--json" },
        100'000);
    CHECK_EQUAL(applied.exitCode, 3);
    CHECK(contains(applied.output, "\"code\":\"full\""));
    CHECK(contains(applied.output, "no space left"));
    CHECK(folder.names().empty());
    const auto made = runDelta(
        { "diff", kArc + "bf16_dense_big/base.safetensors", kArc + "bf16_dense_big/new.safetensors",
            "-o", (folder / "d.safetensors").string(), "--json" },
        10'000);
    CHECK_EQUAL(made.exitCode, 3);
    CHECK(contains(made.output, "\"code\":\"full\""));
    CHECK(folder.names().empty());
}

TEST(sigterm_and_sigint_leave_no_output)
{
    const BigPair pair;
    const auto before = pair.folder.names();
    for (const int signal : { SIGTERM, SIGINT }) {
        const auto result = runInterrupted(pair, signal);
        CHECK_EQUAL(result.exitCode, 5);
        CHECK(contains(result.errors, "canceled"));
        CHECK(pair.folder.names() == before);
    }
}

TEST(kill_leaves_no_file_under_the_final_name)
{
    const BigPair pair;
    const auto result = runInterrupted(pair, SIGKILL);
    CHECK_EQUAL(result.exitCode, 128 + SIGKILL);
    CHECK(!fs::exists(pair.folder / "out.safetensors"));
    // The next try is not in the way of what the kill left.
    CHECK_EQUAL(runDelta(pair.applyArguments()).exitCode, 0);
    CHECK_EQUAL(
        readFile(pair.folder / "out.safetensors"), readFile(pair.folder / "new.safetensors"));
}

CHECK_MAIN()
