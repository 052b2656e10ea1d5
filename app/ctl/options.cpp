// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/option_parser.h"
#include "services/codecs/cli_codec.h"

#include <algorithm>
#include <string_view>

namespace desk {
namespace {

    constexpr const char* kVersion = "0.1.0";

    const char* simdKernel()
    {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2"))
            return "avx2";
#endif
        return "scalar";
    }

} // namespace

OptionParser::OptionParser()
    : m_app("Does without a window what Trainer Desk does: jobs, checkpoints, promotion, hot "
            "loads, training.",
        "trainerdesk-ctl")
{
    m_app.require_subcommand(1);
    m_app.get_formatter()->column_width(34);
    m_app.set_version_flag("--version",
        std::string("trainerdesk-ctl ") + kVersion + "\nCUDA: no; SIMD kernel: " + simdKernel());
    m_app.add_flag("--json", m_options.isJson, "Print one JSON document on stdout");
    m_app.add_option("--connection", m_options.connection,
        "local, a connection's name, or a URL; default: the last one used");
    m_app.add_option("--key-file", m_options.keyFile,
        "Read the API key from this file; else FIREWORKS_API_KEY, TINKER_API_KEY, the "
        "keyring");
    m_app.add_option("--profile", m_options.profile, "Keep all state below this folder");
    m_app.add_option("--progress", m_progress, "json: progress as JSON Lines on stderr")
        ->check(CLI::IsMember({ "json" }));
    addConnections();
    addJobs();
    addCheckpoints();
    addResumeRef();
    addSave();
    addPromote();
    addHotload();
    addModels();
    addDeployments();
    addOperations();
    addTrain();
    addRehearse();
    addMetrics();
    addComplete();
}

std::variant<CtlOptions, CtlEnd> OptionParser::parse(int argc, const char* const* argv)
{
    try {
        m_app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return CtlEnd { 0, m_app.help() };
    } catch (const CLI::CallForAllHelp&) {
        return CtlEnd { 0, m_app.help("", CLI::AppFormatMode::All) };
    } catch (const CLI::CallForVersion&) {
        return CtlEnd { 0, m_app.version() + "\n" };
    } catch (const CLI::ParseError& error) {
        return usage(argc, argv, error.what());
    }
    m_options.isJsonProgress = m_progress == "json";
    return m_options;
}

CtlEnd OptionParser::usage(int argc, const char* const* argv, const std::string& message)
{
    const Error error { Error::Code::Usage, "the command line is wrong: " + message,
        "nothing was done", "see trainerdesk-ctl --help", {} };
    const bool isJson =
        std::any_of(argv, argv + argc, [](std::string_view word) { return word == "--json"; });
    return { 2, isJson ? encodeCliError(error) + "\n" : error.message + "\n" + error.next + "\n" };
}

/// A verb that is complete in itself; options of the program may follow it.
CLI::App* OptionParser::verb(
    CLI::App* parent, const char* word, const char* help, const char* example)
{
    CLI::App* app = parent->add_subcommand(word, help);
    app->fallthrough();
    app->footer(std::string("Example:\n  ") + example);
    const std::string full = parent == &m_app ? word : parent->get_name() + " " + std::string(word);
    app->callback([this, full] {
        if (m_options.verb.empty())
            m_options.verb = full;
    });
    return app;
}

CLI::App* OptionParser::group(const char* word, const char* help)
{
    CLI::App* app = m_app.add_subcommand(word, help);
    app->fallthrough();
    app->require_subcommand(1);
    return app;
}

CLI::Option* OptionParser::names(CLI::App* app, const char* what, int count, const char* help)
{
    return app->add_option(what, m_options.names, help)->expected(count)->required();
}

void OptionParser::dryRun(CLI::App* app)
{
    app->add_flag("--dry-run", m_options.isDryRun,
        "Print the preflight and the exact request; change nothing");
}

void OptionParser::addConnections()
{
    CLI::App* app = group("connections", "Control planes that are known: list, add, remove, test");
    verb(app, "list", "All connections", "trainerdesk-ctl connections list");
    names(verb(app, "add", "Add or change one; a key given now goes to the keyring",
              "trainerdesk-ctl connections add work https://api.fireworks.ai --key-file key"),
        "NAME URL", 2, "its name and its URL");
    names(verb(app, "remove", "Forget one and its key", "trainerdesk-ctl connections remove work"),
        "NAME", 1, "its name");
    names(verb(app, "test", "Ask the server who we are", "trainerdesk-ctl connections test work"),
        "NAME", 1, "its name, local, or a URL");
}

void OptionParser::addOperations()
{
    CLI::App* app = group("operations", "What was asked of servers: list, show, reconcile");
    verb(app, "list", "The journal, newest first", "trainerdesk-ctl operations list");
    names(verb(app, "show", "One operation", "trainerdesk-ctl operations show ID"), "ID", 1,
        "its id");
    CLI::App* reconcile = verb(app, "reconcile",
        "Find out what became of operations whose reply was lost; sends nothing again",
        "trainerdesk-ctl operations reconcile");
    reconcile->add_option("ID", m_options.names, "default: all that are unknown")->expected(0, 1);
}

void OptionParser::addTrain()
{
    CLI::App* app = verb(&m_app, "train", "Fine-tune a model by a recipe, or the sample",
        "trainerdesk-ctl --connection local train --sample --detach --json");
    app->add_option("RECIPE", m_options.names, "recipe as JSON (README, cli.md)")->expected(0, 1);
    app->add_flag("--sample", m_options.isSample, "train the built-in model on the bundled text");
    app->add_flag("--detach", m_options.isDetached, "return after the first step");
    app->add_option("--run-dir", m_options.runDir, "default: a new folder of the profile");
    app->add_flag(
        "--continue", m_options.isContinued, "go on from the newest state of the run in --run-dir");
}

void OptionParser::addRehearse()
{
    CLI::App* app = verb(&m_app, "rehearse",
        "Run an unchanged training script against the local backend and report its mistakes",
        "trainerdesk-ctl rehearse --report report.json -- python train.py");
    app->add_option("--data", m_options.data,
        "data folder of its backend; default: the "
        "profile's");
    app->add_option("--stand-in", m_options.standIns,
           "NAME=VOCABULARY: size of the stand-in for a model that is not here")
        ->expected(1)
        ->take_all();
    app->add_option("--report", m_options.report, "write the report as JSON, too");
    app->positionals_at_end();
    app->add_option("COMMAND", m_options.names, "after --: the command and its arguments")
        ->expected(1, 4096)
        ->required();
}

void OptionParser::addMetrics()
{
    CLI::App* app = group("metrics", "Ledgers of runs: read");
    CLI::App* read = verb(app, "read", "Describe every run of a folder or ledger file",
        "trainerdesk-ctl metrics read runs/one --series train/loss --points --json");
    names(read, "PATH", 1, "run folder or JSON Lines file");
    read->add_option("--series", m_options.series, "only these metrics");
    read->add_flag("--points", m_options.withPoints, "print all points");
}

void OptionParser::addComplete()
{
    CLI::App* app = verb(&m_app, "complete", "Ask a deployment or a model to go on with a text",
        "trainerdesk-ctl complete --deployment eval 'Customer: '");
    names(app, "PROMPT", 1, "the text");
    CLI::Option* model = app->add_option("--model", m_options.model, "name or id");
    CLI::Option* deployment = app->add_option("--deployment", m_options.deployment, "name or id");
    model->excludes(deployment);
    app->add_option("--max-tokens", m_options.maxTokens, "default 64")
        ->check(CLI::Range(1, 100000));
    app->add_option("--seed", m_options.seed, "same seed, same text");
}

std::variant<CtlOptions, CtlEnd> parseCtlOptions(int argc, const char* const* argv)
{
    return OptionParser().parse(argc, argv);
}

} // namespace desk
