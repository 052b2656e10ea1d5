// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/ctl/options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <variant>

namespace desk {

/// Declares the verbs; each sets `verb` when it was given.
class OptionParser
{
public:
    OptionParser();
    [[nodiscard]] std::variant<CtlOptions, CtlEnd> parse(int argc, const char* const* argv);

private:
    static CtlEnd usage(int argc, const char* const* argv, const std::string& message);
    /// A verb that is complete in itself; options of the program may follow it.
    CLI::App* verb(CLI::App* parent, const char* word, const char* help, const char* example);
    CLI::App* group(const char* word, const char* help);
    CLI::Option* names(CLI::App* app, const char* what, int count, const char* help);
    void dryRun(CLI::App* app);
    void addConnections();
    void addOperations();
    void addTrain();
    void addRehearse();
    void addMetrics();
    void addComplete();
    void reloads(CLI::App* app);

    // options_objects.cpp: what acts on jobs, checkpoints, models and deployments.
    void addJobs();
    void addCheckpoints();
    void addResumeRef();
    void addSave();
    void addPromote();
    void addHotload();
    void addModels();
    void addDeployments();

    CtlOptions m_options;
    std::string m_progress;
    CLI::App m_app;
};

} // namespace desk
