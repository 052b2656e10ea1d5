// SPDX-License-Identifier: GPL-3.0-or-later
// trainerdesk-delta: the delta engine on the command line (cli.md sections 2, 6, 7).

#include "app/delta/progress.h"
#include "app/delta/text_report.h"
#include "services/delta/engine.h"
#include "services/delta/report_json.h"
#include "services/delta/scan.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace desk; // NOLINT(google-build-using-namespace): a program's only file of this kind

enum ExitCode
{
    kExitYes = 0,
    kExitNo = 1,
    kExitUsage = 2,
    kExitInput = 3,
    kExitOther = 4,
    kExitCanceled = 5
};

volatile std::sig_atomic_t stopRequested = 0;

void requestStop(int)
{
    stopRequested = 1;
}

struct Options
{
    std::string base;
    std::string target;
    std::vector<std::string> deltas;
    std::string output;
    std::string format = "arc_v2";
    int level = 3;
    std::string device = "auto";
    unsigned threads = 0;
    bool isJson = false;
    std::string progress = "auto";
};

ExitCode exitCodeOf(Error::Code code)
{
    switch (code) {
    case Error::Code::Usage:
        return kExitUsage;
    case Error::Code::Unreadable:
    case Error::Code::Malformed:
    case Error::Code::NotFound:
    case Error::Code::Full:
    case Error::Code::OutOfMemory:
        return kExitInput;
    case Error::Code::Refused:
    case Error::Code::Conflict:
        return kExitNo;
    case Error::Code::Canceled:
        return kExitCanceled;
    case Error::Code::Auth:
    case Error::Code::Quota:
    case Error::Code::Unreachable:
    case Error::Code::Backend:
    case Error::Code::Unknown:
        break;
    }
    return kExitOther;
}

int fail(const Error& error, bool isJson)
{
    if (isJson)
        std::printf("%s\n", toJson(error).c_str());
    else
        std::fprintf(stderr, "trainerdesk-delta: %s\n", toText(error).c_str());
    return exitCodeOf(error.code);
}

void warn(const std::vector<std::string>& warnings, const Options& options)
{
    if (!options.isJson) // with --json they stand in the document
        for (const auto& warning : warnings)
            std::fprintf(stderr, "warning: %s\n", warning.c_str());
}

void print(const std::string& json, const std::string& text, const Options& options)
{
    std::printf("%s", options.isJson ? (json + "\n").c_str() : text.c_str());
}

std::vector<std::filesystem::path> pathsOf(const std::vector<std::string>& names)
{
    return { names.begin(), names.end() };
}

int runVerb(const std::string& verb, const Options& options)
{
    auto engine =
        openDeltaEngine(options.device == "cpu" ? DevicePolicy::CpuOnly : DevicePolicy::PreferCuda);
    if (!engine)
        return fail(engine.error(), options.isJson);
    const auto kind = options.progress == "json" ? ProgressKind::Json
        : options.progress == "none"             ? ProgressKind::None
                                                 : ProgressKind::Auto;
    std::optional<Progress> progress(std::in_place, kind);
    const JobControl control { [] { return stopRequested != 0; },
        [&progress](std::uint64_t done, std::uint64_t total) { progress->report(done, total); } };
    const auto finish = [&](const auto& result, auto text, auto isYes) -> int {
        progress.reset();
        if (!result)
            return fail(result.error(), options.isJson);
        print(toJson(*result), text(*result), options);
        return isYes(*result);
    };
    const auto isVerified = [&options](const VerifyReport& report) {
        warn(report.warnings, options);
        return report.verdict == Verdict::Exact ? kExitYes : kExitNo;
    };
    const auto isWritten = [&options](const DeltaReport& report) {
        warn(report.warnings, options);
        return kExitYes;
    };
    const auto deltaText = [&options](const DeltaReport& report) {
        return toText(report, options.output);
    };

    if (verb == "diff")
        return finish((*engine)->diff({ options.base, options.target, options.output, options.level,
                                          options.threads },
                          control),
            deltaText, isWritten);
    if (verb == "apply")
        return finish((*engine)->apply({ options.base, pathsOf(options.deltas), options.output,
                                           options.threads },
                          control),
            deltaText, isWritten);
    if (verb == "verify") {
        VerifyJob job { options.base, pathsOf(options.deltas), std::nullopt, options.threads };
        if (!options.target.empty())
            job.target = options.target;
        return finish((*engine)->verify(job, control),
            [](const auto& report) { return toText(report, false); }, isVerified);
    }
    if (verb == "compare")
        return finish(
            (*engine)->compare({ options.base, options.target, options.threads }, control),
            [](const auto& report) { return toText(report, true); }, isVerified);
    return finish((*engine)->inspect({ options.base, true }, control),
        [](const auto& report) { return toText(report); },
        [](const InspectReport& report) {
            return report.problems.empty() ? kExitYes : kExitInput;
        });
}

void addVerbs(CLI::App& app, Options& options)
{
    const auto addFormat = [&options](CLI::App* verb) {
        verb->add_option("--format", options.format, "delta format")
            ->check(CLI::IsMember({ "arc_v2" }));
    };
    auto* diff = app.add_subcommand("diff", "write the delta that turns BASE into NEW");
    diff->add_option("BASE", options.base, "old weights")->required();
    diff->add_option("NEW", options.target, "new weights")->required();
    diff->add_option("-o,--output", options.output, "the delta to write")->required();
    diff->add_option("--level", options.level, "compression level")->check(CLI::Range(1, 19));
    addFormat(diff);
    diff->footer("Examples:\n  trainerdesk-delta diff old.safetensors new.safetensors -o "
                 "step.safetensors\n  trainerdesk-delta diff step-0010/ step-0011/ -o delta-0011/");

    auto* apply = app.add_subcommand("apply", "rebuild the new weights from BASE and a chain");
    apply->add_option("BASE", options.base, "old weights")->required();
    apply->add_option("DELTA", options.deltas, "deltas, oldest first")->required();
    apply->add_option("-o,--output", options.output, "the weights to write")->required();
    addFormat(apply);
    apply->footer("Examples:\n  trainerdesk-delta apply old.safetensors step.safetensors -o "
                  "new.safetensors\n  trainerdesk-delta apply base/ d1/ d2/ -o step-0012/");

    auto* verify = app.add_subcommand(
        "verify", "prove BASE XOR DELTA, against the delta's checksums or a target");
    verify->add_option("BASE", options.base, "old weights")->required();
    verify->add_option("DELTA", options.deltas, "deltas, oldest first")->required();
    verify->add_option("--target", options.target, "weights that have to come out");
    addFormat(verify);
    verify->footer("Examples:\n  trainerdesk-delta verify base/ delta/\n  trainerdesk-delta verify "
                   "base/ d1/ d2/ --target step-0012/ --json");

    auto* compare = app.add_subcommand("compare", "say which tensors of A and B differ, and how");
    compare->add_option("A", options.base, "weights")->required();
    compare->add_option("B", options.target, "weights")->required();
    compare->footer("Example:\n  trainerdesk-delta compare a.safetensors b.safetensors");

    auto* inspect = app.add_subcommand(
        "inspect", "list tensors, types, shapes, statistics and problems of a file or folder");
    inspect->add_option("PATH", options.base, "file or folder")->required();
    inspect->footer("Example:\n  trainerdesk-delta inspect model/ --json");
}

std::string versionText()
{
    return std::string("trainerdesk-delta " DESK_VERSION " (CUDA: no, kernel: ")
        + activeScanKernels().name + ")";
}

int run(int argc, char** argv)
{
    Options options;
    CLI::App app { "Compute, apply and prove weight deltas, bit by bit.", "trainerdesk-delta" };
    app.set_version_flag("--version", versionText());
    app.require_subcommand(1);
    app.fallthrough();
    app.add_flag("--json", options.isJson, "one JSON document on standard output");
    app.add_option("--device", options.device, "where to compute: auto or cpu")
        ->check(CLI::IsMember({ "auto", "cpu" }));
    app.add_option("--threads", options.threads, "threads; 0: one a core")
        ->check(CLI::Range(0, 256));
    app.add_option("--progress", options.progress, "on standard error: auto, json or none")
        ->check(CLI::IsMember({ "auto", "json", "none" }));
    addVerbs(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0)
            return app.exit(error); // --help, --version
        const bool isJson = options.isJson
            || std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
        return fail({ Error::Code::Usage, error.what(), "nothing was done",
                        "trainerdesk-delta --help lists what there is", {} },
            isJson);
    }
    return runVerb(app.get_subcommands().front()->get_name(), options);
}

} // namespace

int main(int argc, char** argv)
{
    struct sigaction action = {};
    action.sa_handler = requestStop;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    // A file size limit is an error of the write that hits it, with a message, not the end.
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "trainerdesk-delta: %s\n", error.what());
        return kExitOther;
    }
}
