// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/options.h"

#include "services/codecs/cli_codec.h"

#include <CLI/CLI.hpp>
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

    /// Declares the verbs; each sets `verb` when it was given.
    class OptionParser
    {
    public:
        OptionParser()
            : m_app(
                "Does without a window what Trainer Desk does: jobs, checkpoints, promotion, hot "
                "loads, training.",
                "trainerdesk-ctl")
        {
            m_app.require_subcommand(1);
            m_app.get_formatter()->column_width(34);
            m_app.set_version_flag("--version",
                std::string("trainerdesk-ctl ") + kVersion
                    + "\nCUDA: no; SIMD kernel: " + simdKernel());
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

        std::variant<CtlOptions, CtlEnd> parse(int argc, const char* const* argv)
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

    private:
        static CtlEnd usage(int argc, const char* const* argv, const std::string& message)
        {
            const Error error { Error::Code::Usage, "the command line is wrong: " + message,
                "nothing was done", "see trainerdesk-ctl --help", {} };
            const bool isJson = std::any_of(
                argv, argv + argc, [](std::string_view word) { return word == "--json"; });
            return { 2,
                isJson ? encodeCliError(error) + "\n" : error.message + "\n" + error.next + "\n" };
        }

        /// A verb that is complete in itself; options of the program may follow it.
        CLI::App* verb(CLI::App* parent, const char* word, const char* help, const char* example)
        {
            CLI::App* app = parent->add_subcommand(word, help);
            app->fallthrough();
            app->footer(std::string("Example:\n  ") + example);
            const std::string full =
                parent == &m_app ? word : parent->get_name() + " " + std::string(word);
            app->callback([this, full] {
                if (m_options.verb.empty())
                    m_options.verb = full;
            });
            return app;
        }
        CLI::App* group(const char* word, const char* help)
        {
            CLI::App* app = m_app.add_subcommand(word, help);
            app->fallthrough();
            app->require_subcommand(1);
            return app;
        }
        CLI::Option* names(CLI::App* app, const char* what, int count, const char* help)
        {
            return app->add_option(what, m_options.names, help)->expected(count)->required();
        }
        void dryRun(CLI::App* app)
        {
            app->add_flag("--dry-run", m_options.isDryRun,
                "Print the preflight and the exact request; change nothing");
        }

        void addConnections()
        {
            CLI::App* app =
                group("connections", "Control planes that are known: list, add, remove, test");
            verb(app, "list", "All connections", "trainerdesk-ctl connections list");
            names(
                verb(app, "add", "Add or change one; a key given now goes to the keyring",
                    "trainerdesk-ctl connections add work https://api.fireworks.ai --key-file key"),
                "NAME URL", 2, "its name and its URL");
            names(verb(app, "remove", "Forget one and its key",
                      "trainerdesk-ctl connections remove work"),
                "NAME", 1, "its name");
            names(verb(app, "test", "Ask the server who we are",
                      "trainerdesk-ctl connections test work"),
                "NAME", 1, "its name, local, or a URL");
        }
        void addJobs()
        {
            CLI::App* app =
                group("jobs", "Trainer jobs: list, show, create, resume, cancel, delete");
            verb(app, "list", "All jobs with the state of their runs", "trainerdesk-ctl jobs list");
            names(verb(app, "show", "One job", "trainerdesk-ctl jobs show JOB"), "JOB", 1,
                "name or id");
            CLI::App* create = verb(app, "create", "Create a trainer job without training",
                "trainerdesk-ctl jobs create --base-model desk-tiny --name trial --wait");
            create->add_option("--base-model", m_options.baseModel, "model to train")->required();
            create->add_option("--lora-rank", m_options.loraRank, "0: full parameters")
                ->check(CLI::Range(0, 1024));
            create->add_option("--name", m_options.name, "display name");
            create->add_flag("--wait", m_options.shouldWait, "until its trainer answers");
            for (const auto& [word, help] : { std::pair { "resume", "Start a stopped job again" },
                     std::pair { "cancel", "Cancel a running job" },
                     std::pair { "delete", "Delete a job" } }) {
                CLI::App* one = verb(app, word, help, "trainerdesk-ctl jobs delete JOB --dry-run");
                names(one, "JOB", 1, "name or id");
                if (std::string_view(word) != "resume")
                    dryRun(one);
            }
        }
        void addCheckpoints()
        {
            CLI::App* app = group("checkpoints", "Checkpoints of a job: list, show");
            names(verb(app, "list", "All checkpoints of a job, newest first",
                      "trainerdesk-ctl checkpoints list JOB --json"),
                "JOB", 1, "name or id");
            names(verb(app, "show", "One checkpoint",
                      "trainerdesk-ctl checkpoints show JOB/step-0200"),
                "NAME", 1, "four-segment name, or JOB/short-name");
        }
        void addSave()
        {
            CLI::App* app = verb(&m_app, "save", "Let the run that trains a job save now",
                "trainerdesk-ctl save JOB --kind base --name step-0200");
            names(app, "JOB", 1, "name or id");
            app->add_option("--kind", m_options.kind, "state, base or delta")
                ->required()
                ->check(CLI::IsMember({ "state", "base", "delta" }));
            app->add_option("--name", m_options.name, "letters, digits, '-', '_', '.'")->required();
            app->add_option("--ttl", m_options.ttlSeconds, "seconds until it may be removed");
            dryRun(app);
        }
        void addPromote()
        {
            CLI::App* app = verb(&m_app, "promote", "Make a model of a checkpoint",
                "trainerdesk-ctl promote JOB/step-0200 --model-id support-v1");
            app->add_option("NAME", m_options.names, "four-segment name, or JOB/short-name")
                ->expected(0, 1);
            app->add_option("--model-id", m_options.modelId, "1 to 63 characters a-z, 0-9, '-'")
                ->required();
            app->add_option("--base-model", m_options.baseModel, "default: the job's");
            app->add_option("--job", m_options.job, "deprecated: give NAME");
            app->add_option("--checkpoint", m_options.checkpoint, "deprecated: give NAME");
            dryRun(app);
        }
        void addHotload()
        {
            CLI::App* app = verb(&m_app, "hotload", "Load a checkpoint onto a running deployment",
                "trainerdesk-ctl hotload JOB/step-0200 --deployment eval");
            names(app, "NAME", 1, "four-segment name, or JOB/short-name");
            app->add_option("--deployment", m_options.deployment, "name or id")->required();
            app->add_flag("--full", m_options.isFull, "a whole snapshot although a delta would do");
            app->add_option("--reset-prompt-cache", m_options.resetPromptCache, "default: all")
                ->check(CLI::IsMember({ "all", "new_session", "none" }));
            app->add_option("--timeout", m_options.timeoutSeconds, "seconds to wait; default 600")
                ->check(CLI::Range(1, 86400));
            app->add_flag("--no-wait", m_options.noWait, "do not wait for the replicas");
            dryRun(app);
        }
        void addModels()
        {
            CLI::App* app = group("models", "Models of the account: list, show, delete");
            verb(app, "list", "All models", "trainerdesk-ctl models list --json");
            names(verb(app, "show", "One model", "trainerdesk-ctl models show support-v1"), "ID", 1,
                "name or id");
            CLI::App* remove =
                verb(app, "delete", "Delete a model", "trainerdesk-ctl models delete support-v1");
            names(remove, "ID", 1, "name or id");
            dryRun(remove);
        }
        void addDeployments()
        {
            CLI::App* app = group("deployments", "Deployments: list, show, create, delete");
            verb(app, "list", "All deployments", "trainerdesk-ctl deployments list --json");
            names(verb(app, "show", "One deployment and what each replica serves",
                      "trainerdesk-ctl deployments show eval"),
                "D", 1, "name or id");
            CLI::App* create = verb(app, "create", "Create a deployment that takes hot loads",
                "trainerdesk-ctl deployments create --base-model desk-tiny --job JOB --name eval");
            create->add_option("--base-model", m_options.baseModel, "default: the job's");
            create->add_option("--job", m_options.job, "whose checkpoints it loads");
            create->add_option("--replicas", m_options.replicas, "1 to 64")
                ->check(CLI::Range(1, 64));
            create->add_option("--name", m_options.name, "its id");
            create->add_flag("--no-wait", m_options.noWait, "do not wait until it is ready");
            dryRun(create);
            CLI::App* remove = verb(
                app, "delete", "Delete a deployment", "trainerdesk-ctl deployments delete eval");
            names(remove, "D", 1, "name or id");
            dryRun(remove);
        }
        void addOperations()
        {
            CLI::App* app = group("operations", "What was asked of servers: list, show, reconcile");
            verb(app, "list", "The journal, newest first", "trainerdesk-ctl operations list");
            names(verb(app, "show", "One operation", "trainerdesk-ctl operations show ID"), "ID", 1,
                "its id");
            CLI::App* reconcile = verb(app, "reconcile",
                "Find out what became of operations whose reply was lost; sends nothing again",
                "trainerdesk-ctl operations reconcile");
            reconcile->add_option("ID", m_options.names, "default: all that are unknown")
                ->expected(0, 1);
        }
        void addTrain()
        {
            CLI::App* app = verb(&m_app, "train", "Fine-tune a model by a recipe, or the sample",
                "trainerdesk-ctl --connection local train --sample --detach --json");
            app->add_option("RECIPE", m_options.names, "recipe as JSON (README, cli.md)")
                ->expected(0, 1);
            app->add_flag(
                "--sample", m_options.isSample, "train the built-in model on the bundled text");
            app->add_flag("--detach", m_options.isDetached, "return after the first step");
            app->add_option("--run-dir", m_options.runDir, "default: a new folder of the profile");
            app->add_flag("--continue", m_options.isContinued,
                "go on from the newest state of the run in --run-dir");
        }
        void addRehearse()
        {
            CLI::App* app = verb(&m_app, "rehearse",
                "Run an unchanged training script against the local backend and report its mistakes",
                "trainerdesk-ctl rehearse --report report.json -- python train.py");
            app->add_option("--data", m_options.data, "data folder of its backend; default: the "
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
        void addMetrics()
        {
            CLI::App* app = group("metrics", "Ledgers of runs: read");
            CLI::App* read = verb(app, "read", "Describe every run of a folder or ledger file",
                "trainerdesk-ctl metrics read runs/one --series train/loss --points --json");
            names(read, "PATH", 1, "run folder or JSON Lines file");
            read->add_option("--series", m_options.series, "only these metrics");
            read->add_flag("--points", m_options.withPoints, "print all points");
        }
        void addComplete()
        {
            CLI::App* app =
                verb(&m_app, "complete", "Ask a deployment or a model to go on with a text",
                    "trainerdesk-ctl complete --deployment eval 'Customer: '");
            names(app, "PROMPT", 1, "the text");
            CLI::Option* model = app->add_option("--model", m_options.model, "name or id");
            CLI::Option* deployment =
                app->add_option("--deployment", m_options.deployment, "name or id");
            model->excludes(deployment);
            app->add_option("--max-tokens", m_options.maxTokens, "default 64")
                ->check(CLI::Range(1, 100000));
            app->add_option("--seed", m_options.seed, "same seed, same text");
        }

        CtlOptions m_options;
        std::string m_progress;
        CLI::App m_app;
    };

} // namespace

std::variant<CtlOptions, CtlEnd> parseCtlOptions(int argc, const char* const* argv)
{
    return OptionParser().parse(argc, argv);
}

} // namespace desk
