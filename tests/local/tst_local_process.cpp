// SPDX-License-Identifier: GPL-3.0-or-later
// The real program: command line, ready line, second start, end, full disk.
#include "tests/local/process_probe.h"
#include "tests/support/check.h"

#include <set>
#include <sys/stat.h>

namespace {

using desk::FutureReply;
using desk::check::fileBytes;
using desk::check::ProcessProbe;
using desk::check::TempFolder;
using desk::check::TrainingProbe;

std::string dataOf(const TempFolder& folder)
{
    return (folder.path() / "data").string();
}

int exitCodeOf(const std::vector<std::string>& arguments)
{
    TempFolder folder;
    return ProcessProbe(folder.path(), arguments).waitForEnd();
}

TEST(the_ready_line_says_what_serves)
{
    TempFolder folder;
    const auto readyFile = (folder.path() / "ready.json").string();
    ProcessProbe process(folder.path(), { "--data", dataOf(folder), "--ready-file", readyFile });
    const auto line = process.ready();
    CHECK_EQUAL(line.url.substr(0, 17), "http://127.0.0.1:");
    CHECK_EQUAL(line.account, "local");
    CHECK_EQUAL(line.baseModel, "accounts/local/models/desk-tiny");
    CHECK_EQUAL(line.vocabSize, 259U);
    CHECK_EQUAL(line.models.size(), 1U);
    CHECK(line.models.at(0).parameters > 500'000);
    CHECK_EQUAL(fileBytes(readyFile), process.output());
    struct stat facts = {};
    CHECK_EQUAL(::stat(line.keyFile.c_str(), &facts), 0);
    CHECK_EQUAL(facts.st_mode & 0777U, 0600U);
    process.probe();
    CHECK(process.errors().find(fileBytes(line.keyFile).substr(0, 20)) == std::string::npos);
}

TEST(wrong_command_lines_exit_2_and_bad_inputs_3)
{
    TempFolder folder;
    const auto data = dataOf(folder);
    CHECK_EQUAL(exitCodeOf({ "--help" }), 0);
    CHECK_EQUAL(exitCodeOf({ "--version" }), 0);
    CHECK_EQUAL(exitCodeOf({}), 2);
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--oops" }), 2);
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--listen", "nonsense" }), 2);
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--listen", "0.0.0.0:0" }), 2); // needs TLS
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--tls-cert", "x" }), 2);
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--faults", "[{}]" }), 3);
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--faults", "/none" }), 3);
    const auto model = folder.path() / "model";
    desk::check::writeBytes(model / "config.json", R"({"architectures":["GPT2LMHeadModel"]})");
    CHECK_EQUAL(exitCodeOf({ "--data", data, "--base-model", model.string() }), 3);
}

TEST(a_hugging_face_folder_becomes_a_base_model)
{
    TempFolder folder;
    const auto model = folder.path() / "My Model_1";
    for (const auto& file : desk::starterModelFiles())
        desk::check::writeBytes(model / std::string(file.name), std::string(file.bytes));
    ProcessProbe process(
        folder.path(), { "--data", dataOf(folder), "--base-model", model.string() });
    const auto line = process.ready();
    CHECK_EQUAL(line.models.size(), 2U);
    CHECK_EQUAL(line.models.at(1).name, "accounts/local/models/my-model-1");
    CHECK(!process.probe().complete(line.models.at(1).name).choices.at(0).text.empty());
}

TEST(a_second_start_on_the_same_folder_exits_4)
{
    TempFolder folder;
    ProcessProbe process(folder.path(), { "--data", dataOf(folder) });
    const auto line = process.ready();
    TempFolder other;
    ProcessProbe second(other.path(), { "--data", dataOf(folder) });
    CHECK_EQUAL(second.waitForEnd(), 4);
    CHECK(
        second.errors().find("in use by process " + std::to_string(line.pid)) != std::string::npos);
    CHECK_EQUAL(process.probe().call("GET", "/healthz").status, 200);
}

TEST(sigterm_ends_a_busy_backend_in_order)
{
    TempFolder folder;
    ProcessProbe process(folder.path(), { "--data", dataOf(folder), "--threads", "1" });
    const auto probe = process.probe();
    probe.createJob("j");
    TrainingProbe training(probe, "j");
    auto wanted = training.forward(true, 0, 512);
    for (std::size_t i = 0; i < 200; ++i)
        wanted.data.push_back(TrainingProbe::datum(i, 512));
    const auto body = desk::encodeForward(wanted);
    CHECK_EQUAL(training.post("forward_backward", *body).status, 200);
    const auto began = std::chrono::steady_clock::now();
    process.send(SIGTERM);
    CHECK_EQUAL(process.waitForEnd(), 0);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
}

TEST(the_key_and_the_rows_stay_over_starts)
{
    TempFolder folder;
    std::string key;
    {
        ProcessProbe process(folder.path(), { "--data", dataOf(folder) });
        key = fileBytes(process.ready().keyFile);
        CHECK_EQUAL(process.probe().createJob("j").status, 200);
        process.send(SIGTERM);
        CHECK_EQUAL(process.waitForEnd(), 0);
    }
    ProcessProbe process(folder.path(), { "--data", dataOf(folder) });
    CHECK_EQUAL(fileBytes(process.ready().keyFile), key);
    CHECK_EQUAL(process.probe().createJob("j").status, 409);
}

std::set<std::string> filesBelow(const std::filesystem::path& folder)
{
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
            files.insert(entry.path().string());
    return files;
}

TEST(a_full_disk_fails_a_save_and_leaves_nothing)
{
    TempFolder folder;
    {
        ProcessProbe process(folder.path(), { "--data", dataOf(folder) });
        const auto probe = process.probe();
        probe.createJob("j");
        probe.createDeployment("d", 1, "j");
        TrainingProbe training(probe, "j");
        CHECK(training.saveSampler("b1", "base").state == FutureReply::State::Done);
        process.send(SIGTERM);
        process.waitForEnd();
    }
    const auto before = filesBelow(folder.path() / "data/objects");
    ProcessProbe process(folder.path(), { "--data", dataOf(folder) }, 1 << 20);
    const auto probe = process.probe();
    TrainingProbe training(probe, "j");
    training.step();
    for (const auto& reply : { training.saveSampler("b2", "base"), training.saveState("s2") }) {
        CHECK(reply.state == FutureReply::State::Failed);
        CHECK_EQUAL(reply.category, "server");
        CHECK(reply.error.find("File too large") != std::string::npos);
    }
    const auto answer = desk::decodePromoteAnswer(probe.promote("j", "b1", "m").body);
    const auto ended = probe.finished(answer->operation->name);
    CHECK(ended.error.has_value());
    CHECK(ended.error->message.find("File too large") != std::string::npos);
    CHECK_EQUAL(probe.hotload("d", "b1").status, 200);
    const auto replica = probe.settled("d").at(0);
    CHECK_EQUAL(replica.stage, "error");
    CHECK(replica.error.find("File too large") != std::string::npos);
    CHECK(filesBelow(folder.path() / "data/objects") == before);
    CHECK_EQUAL(probe.checkpoints("j").size(), 1U);
    training.step(); // the model lives on
    CHECK(probe.complete("accounts/local/deployments/d").model == "accounts/local/deployments/d");
}

} // namespace

CHECK_MAIN()
