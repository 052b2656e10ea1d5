// SPDX-License-Identifier: GPL-3.0-or-later
// Verbs on jobs, checkpoints, models and deployments.
#include "app/ctl/option_parser.h"

#include <string_view>

namespace desk {

/// What a load and the way back have in common.
void OptionParser::reloads(CLI::App* app)
{
    app->add_option("--reset-prompt-cache", m_options.resetPromptCache, "default: all")
        ->check(CLI::IsMember({ "all", "new_session", "none" }));
    app->add_option("--timeout", m_options.timeoutSeconds, "seconds to wait; default 600")
        ->check(CLI::Range(1, 86400));
    app->add_flag("--no-wait", m_options.noWait, "do not wait for the replicas");
    dryRun(app);
}

void OptionParser::addJobs()
{
    CLI::App* app = group("jobs", "Trainer jobs: list, show, create, resume, cancel, delete");
    verb(app, "list", "All jobs with the state of their runs", "trainerdesk-ctl jobs list");
    names(verb(app, "show", "One job", "trainerdesk-ctl jobs show JOB"), "JOB", 1, "name or id");
    CLI::App* create = verb(app, "create", "Create a trainer job without training",
        "trainerdesk-ctl jobs create --base-model desk-tiny --name trial --wait");
    create->add_option("--base-model", m_options.baseModel, "model to train")->required();
    create->add_option("--lora-rank", m_options.loraRank, "0: full parameters")
        ->check(CLI::Range(0, 1024));
    create->add_option("--name", m_options.name, "display name");
    create->add_flag("--wait", m_options.shouldWait, "until its trainer answers");
    dryRun(create);
    struct One
    {
        const char* word;
        const char* help;
        const char* example;
    };
    for (const One& one :
        { One { "resume", "Start a stopped job again", "trainerdesk-ctl jobs resume JOB --wait" },
            One { "cancel", "Cancel a running job", "trainerdesk-ctl jobs cancel JOB" },
            One { "delete", "Delete a job; its checkpoints stay about 30 days",
                "trainerdesk-ctl jobs delete JOB --dry-run" } }) {
        CLI::App* command = verb(app, one.word, one.help, one.example);
        names(command, "JOB", 1, "name or id");
        dryRun(command);
        if (std::string_view(one.word) == "resume")
            command->add_flag("--wait", m_options.shouldWait, "until its trainer answers");
    }
}

void OptionParser::addCheckpoints()
{
    CLI::App* app = group("checkpoints", "Checkpoints of a job: list, show, extend, delete");
    names(verb(app, "list", "All checkpoints of a job, newest first",
              "trainerdesk-ctl checkpoints list JOB --json"),
        "JOB", 1, "name or id");
    names(verb(app, "show", "One checkpoint", "trainerdesk-ctl checkpoints show JOB/step-0200"),
        "NAME", 1, "four-segment name, or JOB/short-name");
    CLI::App* extend = verb(app, "extend", "Let one expire later, sooner or never",
        "trainerdesk-ctl checkpoints extend JOB/step-0200 --ttl 86400");
    names(extend, "NAME", 1, "four-segment name, or JOB/short-name");
    extend->add_option("--ttl", m_options.lifetime, "seconds from now, or never")->required();
    dryRun(extend);
    CLI::App* remove = verb(app, "delete", "Delete checkpoints, one after the other",
        "trainerdesk-ctl checkpoints delete JOB/step-0200 JOB/step-0100");
    remove->add_option("NAME", m_options.names, "four-segment names, or JOB/short-name")
        ->required();
    dryRun(remove);
}

void OptionParser::addResumeRef()
{
    CLI::App* app =
        verb(&m_app, "resume-ref", "The reference that a recipe resumes from, and what it restores",
            "trainerdesk-ctl resume-ref JOB --from step-0200");
    names(app, "JOB|RUN", 1, "a job's name or id, or the folder of a run");
    app->add_option("--from", m_options.from, "a state of it; default: the newest");
}

void OptionParser::addSave()
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

void OptionParser::addPromote()
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
    app->add_option("--hot-load-deployment", m_options.hotLoadDeployment,
        "deprecated: for deployments that predate the stored bucket URL");
    dryRun(app);
}

void OptionParser::addHotload()
{
    CLI::App* app = verb(&m_app, "hotload", "Load a checkpoint onto a running deployment",
        "trainerdesk-ctl hotload JOB/step-0200 --deployment eval");
    names(app, "NAME", 1, "four-segment name, or JOB/short-name");
    app->add_option("--deployment", m_options.deployment, "name or id")->required();
    app->add_flag("--full", m_options.isFull, "a whole snapshot although a delta would do");
    reloads(app);
}

void OptionParser::addModels()
{
    CLI::App* app = group("models", "Models of the account: list, show, export, delete");
    verb(app, "list", "All models", "trainerdesk-ctl models list --json");
    names(verb(app, "show", "One model", "trainerdesk-ctl models show support-v1"), "ID", 1,
        "name or id");
    names(verb(app, "export", "Copy the files of a model into a new folder",
              "trainerdesk-ctl models export support-v1 ./support-v1"),
        "ID DIR", 2, "its name or id, and the folder");
    CLI::App* remove =
        verb(app, "delete", "Delete a model", "trainerdesk-ctl models delete support-v1");
    names(remove, "ID", 1, "name or id");
    dryRun(remove);
}

void OptionParser::addDeployments()
{
    CLI::App* app =
        group("deployments", "Deployments: list, show, create, scale, previous, delete");
    verb(app, "list", "All deployments", "trainerdesk-ctl deployments list --json");
    names(verb(app, "show", "One deployment and what each replica serves",
              "trainerdesk-ctl deployments show eval"),
        "D", 1, "name or id");
    CLI::App* create = verb(app, "create", "Create a deployment that takes hot loads",
        "trainerdesk-ctl deployments create --base-model desk-tiny --job JOB --name eval");
    create->add_option("--base-model", m_options.baseModel, "default: the job's");
    create->add_option("--job", m_options.job, "whose checkpoints it loads");
    create->add_option("--replicas", m_options.replicas, "1 to 64")->check(CLI::Range(1, 64));
    create->add_option("--name", m_options.name, "its id");
    create->add_flag("--no-wait", m_options.noWait, "do not wait until it is ready");
    dryRun(create);
    CLI::App* scale = verb(app, "scale", "Give a deployment so many replicas, 0 to 64",
        "trainerdesk-ctl deployments scale eval 2");
    names(scale, "D N", 2, "name or id, and the number of replicas");
    scale->add_flag("--no-wait", m_options.noWait, "do not wait for the replicas");
    dryRun(scale);
    CLI::App* previous = verb(app, "previous", "Load what the deployment served before",
        "trainerdesk-ctl deployments previous eval");
    names(previous, "D", 1, "name or id");
    reloads(previous);
    CLI::App* remove =
        verb(app, "delete", "Delete a deployment", "trainerdesk-ctl deployments delete eval");
    names(remove, "D", 1, "name or id");
    dryRun(remove);
}

} // namespace desk
