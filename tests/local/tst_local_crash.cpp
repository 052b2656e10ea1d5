// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 of the real program in the middle of saves, promotions and hot loads, again and again:
// what was acknowledged is there once, and whatever has a final name is whole.
#include "services/delta/engine.h"
#include "tests/local/process_probe.h"
#include "tests/support/check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

namespace {

using desk::FutureReply;
using desk::check::BackendProbe;
using desk::check::fileBytes;
using desk::check::ProcessProbe;
using desk::check::TempFolder;
using desk::check::TrainingProbe;
namespace fs = std::filesystem;

struct CrashFixture
{
    /// Ends the process of before without mercy and starts another one.
    ProcessProbe& start(const std::vector<std::string>& more = {})
    {
        std::vector<std::string> arguments { "--data", data().string(), "--threads", "1" };
        arguments.insert(arguments.end(), more.begin(), more.end());
        process.reset();
        return process.emplace(folder.path(), arguments);
    }
    fs::path data() const { return folder.path() / "data"; }
    std::chrono::microseconds moment(int longest)
    {
        return std::chrono::microseconds(std::uniform_int_distribution<int>(0, longest)(random));
    }
    TempFolder folder;
    std::optional<ProcessProbe> process;
    std::mt19937 random { 20261125 };
};

/// Every folder with weights below `root` that is not in `known` is one too many.
void checkNothingElse(const fs::path& root, const std::set<std::string>& known)
{
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (!entry.is_regular_file())
            continue;
        const auto folder = entry.path().parent_path().string();
        if (!known.contains(folder))
            desk::check::fail(__FILE__, __LINE__, "left over: " + entry.path().string());
    }
}

void checkWhole(const BackendProbe& probe, const fs::path& data)
{
    auto engine = desk::openDeltaEngine(desk::DevicePolicy::CpuOnly);
    std::set<std::string> known { (data / "objects/base/desk-tiny").string() };
    std::set<std::string> names;
    std::map<std::string, desk::Checkpoint> byId;
    for (const auto& row : probe.checkpoints("j")) {
        CHECK(names.insert(row.name + row.typeText).second); // nothing twice
        known.insert(row.path);
        const auto id = row.name.substr(row.name.rfind('/') + 1);
        byId[id] = row;
        if (row.type == desk::CheckpointType::InferenceArcV2) {
            known.insert((data / "objects/full/j" / id).string());
            CHECK(byId.contains(row.parent));
        }
        const auto report = (*engine)->inspect({ row.path, false }, {});
        if (!report)
            desk::check::fail(__FILE__, __LINE__, row.path + ": " + report.error().message);
        CHECK_EQUAL(report->problems.size(), 0U);
    }
    checkNothingElse(data / "objects", known);
    // The newest delta stands on a chain that ends in a base and verifies by its checksums.
    for (auto row = byId.rbegin(); row != byId.rend(); ++row) {
        if (row->second.type != desk::CheckpointType::InferenceArcV2)
            continue;
        desk::VerifyJob job;
        job.deltas = { row->second.path };
        auto parent = byId.at(row->second.parent);
        while (parent.type == desk::CheckpointType::InferenceArcV2) {
            job.deltas.push_back(parent.path);
            parent = byId.at(parent.parent);
        }
        std::reverse(job.deltas.begin(), job.deltas.end());
        job.base = parent.path;
        const auto report = (*engine)->verify(job, {});
        CHECK(report.has_value());
        CHECK(report->verdict == desk::Verdict::Exact);
        return;
    }
}

TEST(kill_in_the_middle_of_saves)
{
    CrashFixture fixture;
    std::set<std::string> acknowledged;
    for (int round = 0; round < 6; ++round) {
        auto& process = fixture.start();
        const auto probe = process.probe();
        if (round == 0)
            probe.createJob("j");
        for (const auto& row : probe.checkpoints("j"))
            acknowledged.erase(row.name.substr(row.name.rfind('/') + 1));
        CHECK_EQUAL(acknowledged.size(), 0U); // each acknowledged save is listed
        checkWhole(probe, fixture.data());
        TrainingProbe training(probe, "j");
        const auto prefix = "r" + std::to_string(round) + "-";
        CHECK(training.saveSampler(prefix + "a", "base").state == FutureReply::State::Done);
        acknowledged.insert(prefix + "a");
        std::thread killer([&, wait = fixture.moment(250'000)] {
            std::this_thread::sleep_for(wait);
            process.send(SIGKILL);
        });
        try {
            for (int i = 0; i < 1000; ++i) {
                const auto name = prefix + "b" + std::to_string(1000 + i);
                const auto reply =
                    i % 3 == 2 ? training.saveState(name) : training.saveSampler(name, "delta");
                if (reply.state == FutureReply::State::Done)
                    acknowledged.insert(name);
            }
        } catch (const desk::check::ConnectionLost&) {
            // The connection broke: whatever was under way was not acknowledged.
        }
        killer.join();
        process.waitForEnd();
    }
    auto& process = fixture.start();
    checkWhole(process.probe(), fixture.data());
}

TEST(kill_in_the_middle_of_promotions)
{
    CrashFixture fixture;
    {
        auto& process = fixture.start();
        process.probe().createJob("j");
        TrainingProbe training(process.probe(), "j");
        training.saveSampler("b", "base");
    }
    for (int round = 0; round < 8; ++round) {
        const auto id = "m" + std::to_string(round);
        auto& process = fixture.start();
        const auto answer = desk::decodePromoteAnswer(process.probe().promote("j", "b", id).body);
        CHECK(answer.has_value());
        std::this_thread::sleep_for(fixture.moment(30'000));
        process.killNow();
        fixture.start();
        const auto probe = process.probe();
        const auto ended = probe.finished(answer->operation->name); // it goes on by itself
        CHECK(!ended.error.has_value());
        const auto again = desk::decodePromoteAnswer(probe.promote("j", "b", id).body);
        CHECK_EQUAL(again->operation->name, answer->operation->name);
        CHECK_EQUAL(fileBytes(fs::path(ended.response->path) / "model.safetensors"),
            fileBytes(fs::path(probe.checkpoints("j").at(0).path) / "model.safetensors"));
        const auto models =
            desk::decodeModels(probe.call("GET", BackendProbe::accountPath("/models")).body);
        CHECK_EQUAL(models->items.size(), static_cast<std::size_t>(round) + 2);
        std::set<std::string> folders;
        for (const auto& entry : fs::directory_iterator(fixture.data() / "objects/models"))
            folders.insert(entry.path().filename().string());
        CHECK_EQUAL(folders.size(), static_cast<std::size_t>(round) + 1);
    }
}

TEST(kill_in_the_middle_of_hot_loads)
{
    CrashFixture fixture;
    {
        auto& process = fixture.start();
        const auto probe = process.probe();
        probe.createJob("j");
        probe.createDeployment("d", 2, "j");
        TrainingProbe training(probe, "j");
        training.saveSampler("s0", "base");
        probe.hotload("d", "s0");
        probe.settled("d");
        for (int i = 1; i <= 6; ++i) {
            training.step(1e-4);
            const auto name = "s" + std::to_string(i);
            const auto parent = "s" + std::to_string(i - 1);
            training.saveSampler(name, "delta");
            CHECK_EQUAL(probe.hotload("d", name, parent).status, 200);
            if (i < 6)
                probe.settled("d");
        }
    }
    // The last load was acknowledged and cut off; then the chain is loaded again, killed each time.
    auto engine = desk::openDeltaEngine(desk::DevicePolicy::CpuOnly);
    for (int round = 0; round < 8; ++round) {
        auto& process = fixture.start();
        auto probe = process.probe();
        for (const auto& replica : probe.settled("d"))
            CHECK_EQUAL(replica.currentSnapshot, round == 0 ? "s6" : round % 2 == 1 ? "s1" : "s0");
        const bool isBase = round % 2 == 1 || round == 0;
        if (round == 0) {
            CHECK_EQUAL(probe.hotload("d", "s0").status, 200);
            probe.settled("d");
        }
        const auto status = isBase && round > 0 ? probe.hotload("d", "s0").status
                                                : probe.hotload("d", "s1", "s0").status;
        CHECK_EQUAL(status, 200);
        std::this_thread::sleep_for(fixture.moment(60'000));
        process.killNow();
        fixture.start();
        probe = process.probe();
        const auto rows = probe.checkpoints("j");
        const bool servesDelta = !(isBase && round > 0);
        std::set<std::string> known;
        for (const auto& replica : probe.settled("d"))
            CHECK_EQUAL(replica.currentSnapshot, servesDelta ? "s1" : "s0");
        for (const char* index : { "0", "1" }) {
            const auto room = fixture.data() / "objects/replicas/d" / index;
            std::vector<fs::path> folders;
            for (const auto& entry : fs::directory_iterator(room))
                folders.push_back(entry.path());
            CHECK_EQUAL(folders.size(), 1U);
            desk::VerifyJob job;
            job.base = rows.at(0).path;
            if (servesDelta) {
                job.deltas = { rows.at(1).path };
                job.target = folders.at(0);
                const auto report = (*engine)->verify(job, {});
                CHECK(report.has_value());
                CHECK(report->verdict == desk::Verdict::Exact);
            } else {
                CHECK_EQUAL(fileBytes(folders.at(0) / "model.safetensors"),
                    fileBytes(fs::path(rows.at(0).path) / "model.safetensors"));
            }
        }
    }
}

TEST(a_request_that_was_killed_before_its_effect_had_none)
{
    CrashFixture fixture;
    {
        auto& process = fixture.start();
        process.probe().createJob("j");
        TrainingProbe training(process.probe(), "j");
        training.saveSampler("b", "base");
    }
    auto& process = fixture.start({ "--faults",
        R"([{"route":"POST */checkpoints/*:promote","action":"delay","ms":60000}])" });
    const auto probe = process.probe();
    std::thread client([&probe] { CHECK_EQUAL(probe.promote("j", "b", "m").status, 0); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    process.killNow();
    client.join();
    fixture.start();
    CHECK_EQUAL(process.probe().call("GET", BackendProbe::accountPath("/models/m")).status, 404);
}

} // namespace

CHECK_MAIN()
