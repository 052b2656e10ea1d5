// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/detached_train.h"
#include "app/ctl/verbs.h"
#include "services/codecs/ready_codec.h"
#include "services/codecs/recipe_codec.h"
#include "services/core/resource_name.h"
#include "services/core/starter.h"
#include "services/store/process_identity.h"
#include "services/train/train_loop.h"

#include <QDir>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QTimer>

#include <algorithm>
#include <cstdio>
#include <unistd.h>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::size_t kMaxRecipe = std::size_t { 1 } << 20;
    /// `data` of a recipe that trains on the text in this program.
    constexpr const char* kBundledText = "bundled:sample";
    constexpr const char* kBundledEvalText = "bundled:sample_eval";
    /// Byte-level vocabularies: 256 bytes and a few special tokens.
    constexpr std::uint64_t kMostByteTokens = 512;

    /// Long enough to look at: saves, a promotion and a hot load fit into it.
    Recipe sampleRecipe()
    {
        Recipe recipe;
        recipe.name = "sample";
        recipe.data = kBundledText;
        recipe.evalData = kBundledEvalText;
        recipe.maxSteps = 12000;
        recipe.learningRate = 3e-5;
        recipe.warmupSteps = 40;
        recipe.evalEvery = 25;
        recipe.stateSaveEvery = 1000; // 12 MB each
        recipe.seed = 1;
        return recipe;
    }

    std::string besideRecipe(const std::string& data, const std::string& recipePath)
    {
        if (data.empty() || data.starts_with("bundled:"))
            return data;
        const QFileInfo info(QString::fromStdString(data));
        const QDir folder = QFileInfo(QString::fromStdString(recipePath)).absoluteDir();
        return QDir::cleanPath(
            info.isAbsolute() ? info.filePath() : folder.filePath(info.filePath()))
            .toStdString();
    }

    Result<Recipe> recipeFromFile(const std::string& path)
    {
        const auto text = readSmallFile(path, kMaxRecipe);
        if (!text)
            return text.error();
        auto recipe = decodeRecipe(*text);
        if (!recipe)
            return recipe;
        if (recipe->data.empty())
            return Error { Error::Code::Malformed, "the recipe names no `data`",
                "no training was started", "add the path of a text or JSON Lines file", {} };
        recipe->data = besideRecipe(recipe->data, path);
        recipe->evalData = besideRecipe(recipe->evalData, path);
        return recipe;
    }

    Result<TrainingData> dataOf(
        const std::string& source, int maxSeqLen, const ByteVocabulary& vocabulary)
    {
        if (source.empty())
            return TrainingData();
        if (source == kBundledText)
            return TrainingData::fromText(starterSampleText(), maxSeqLen, vocabulary);
        if (source == kBundledEvalText)
            return TrainingData::fromText(starterSampleEvalText(), maxSeqLen, vocabulary);
        return TrainingData::load(source, maxSeqLen, vocabulary);
    }

    /// One foreground training: everything it needs, for as long as it runs.
    class Training final : public QObject // clazy:exclude=missing-qobject-macro
    {
    public:
        Training(Ctl& ctl, std::string runDir)
            : QObject(&ctl)
            , m_ctl(ctl)
            , m_chains(ctl.profile().chainsDir())
            , m_runDir(std::move(runDir))
        {
        }

        void start()
        {
            const CtlOptions& options = m_ctl.options();
            if (const Status opened = m_folder.open(m_runDir, options.isContinued); !opened)
                return m_ctl.fail(opened.error());
            if (options.isContinued) {
                auto point = m_folder.resumePoint();
                if (!point)
                    return m_ctl.fail(point.error());
                m_spec.recipe = point->recipe;
                m_spec.resume = *std::move(point);
            } else {
                auto recipe = options.isSample ? Result<Recipe>(sampleRecipe())
                                               : recipeFromFile(options.names[0]);
                if (!recipe)
                    return m_ctl.fail(recipe.error());
                m_spec.recipe = *std::move(recipe);
            }
            m_ctl.withConnection([this] { prepare(); });
        }

    private:
        void prepare()
        {
            rememberFolder();
            if (const Status chosen = chooseModel(); !chosen)
                return m_ctl.fail(chosen.error());
            const Recipe& recipe = m_spec.recipe;
            auto data = dataOf(recipe.data, recipe.maxSeqLen, m_vocabulary);
            if (!data)
                return m_ctl.fail(data.error());
            auto evalData = dataOf(recipe.evalData, recipe.maxSeqLen, m_vocabulary);
            if (!evalData)
                return m_ctl.fail(evalData.error());
            m_spec.data = *std::move(data);
            m_spec.evalData = *std::move(evalData);
            m_spec.connection = m_ctl.connection().name;
            m_spec.runName = recipe.name.empty()
                ? QFileInfo(QString::fromStdString(m_folder.path())).fileName().toStdString()
                : recipe.name;
            if (!recipe.deployment.empty())
                m_spec.recipe.deployment = m_ctl.fullDeploymentName(recipe.deployment);
            if (m_spec.resume)
                if (const Status trimmed = m_folder.trimLedger(m_spec.resume->step); !trimmed)
                    return m_ctl.fail(trimmed.error());
            run();
        }

        /// A folder outside the profile's own is remembered, so that `save` and the window find it.
        void rememberFolder()
        {
            const QString folder = QString::fromStdString(m_folder.path());
            const QString runs = QDir::cleanPath(m_ctl.profile().runsDir);
            if (!folder.startsWith(runs + u'/'))
                m_ctl.settings().addRunFolder(folder);
        }

        Status chooseModel()
        {
            std::string model = m_spec.resume && !m_spec.resume->config.baseModel.empty()
                ? m_spec.resume->config.baseModel
                : m_spec.recipe.baseModel;
            if (model.empty() && m_ctl.localBackend())
                model = m_ctl.localBackend()->baseModel;
            if (model.empty())
                return Error { Error::Code::Usage, "the recipe names no `base_model`",
                    "no training was started", "add it to the recipe", {} };
            m_spec.baseModel = m_ctl.fullModelName(model);
            return readVocabulary();
        }

        /// Text becomes tokens here, so the model must be one whose tokens are bytes.
        Status readVocabulary()
        {
            std::uint64_t size = lastSegment(m_spec.baseModel) == "desk-tiny" ? 259 : 0;
            if (m_ctl.localBackend()) {
                const auto text =
                    readSmallFile(m_ctl.profile().readyFile().toStdString(), kMaxRecipe);
                const auto ready = text ? decodeReadyLine(*text) : Result<ReadyLine>(text.error());
                if (ready)
                    for (const ReadyModel& model : ready->models)
                        if (model.name == m_spec.baseModel)
                            size = model.vocabSize;
            }
            if (size < 256 || size > kMostByteTokens)
                return Error { Error::Code::Refused,
                    size == 0 ? "nothing is known of the vocabulary of " + m_spec.baseModel
                              : "the tokens of " + m_spec.baseModel + " are no bytes",
                    "no training was started",
                    "train a byte-level model such as desk-tiny, or train from your own script",
                    {} };
            m_vocabulary.size = static_cast<std::int64_t>(size);
            m_vocabulary.endOfText = size == 259 ? 257 : -1;
            return done();
        }

        void run()
        {
            m_loop = std::make_unique<TrainLoop>(
                TrainServices { m_ctl.http(), m_ctl.client(), m_ctl.jobs(), m_ctl.deployments(),
                    m_ctl.clock(), &m_chains },
                m_folder, std::move(m_spec));
            m_ctl.onInterrupt = [this] { m_loop->stop(); };
            connect(m_loop.get(), &TrainLoop::stepped, this, &Training::report);
            connect(m_loop.get(), &TrainLoop::ended, this, &Training::conclude);
            m_sinceReport.start();
            watchBackend();
            m_loop->start();
        }

        /// A backend on this machine that has died is known at once; the client alone would go on
        /// asking for a minute, as it must with servers far away.
        void watchBackend()
        {
            constexpr int kLookMs = 500;
            if (!m_ctl.localBackend())
                return;
            connect(&m_watch, &QTimer::timeout, this, [this] {
                const std::int64_t pid = m_ctl.localBackend()->pid;
                if (processStartTicks(pid))
                    return;
                m_watch.stop();
                m_loop->abandon({ Error::Code::Unreachable,
                    "the local backend, process " + std::to_string(pid) + ", has ended", {}, {},
                    {} });
            });
            m_watch.start(kLookMs);
        }

        void report(qint64 step)
        {
            constexpr qint64 kEveryMs = 1000;
            const bool isShown = m_ctl.options().isJsonProgress || ::isatty(STDERR_FILENO) != 0;
            if (!isShown || (m_sinceReport.elapsed() < kEveryMs && step != m_loop->totalSteps()))
                return;
            m_sinceReport.restart();
            const ControlStatus status = m_loop->status();
            if (m_ctl.options().isJsonProgress)
                return m_ctl.note(
                    "{\"event\":\"step\",\"status\":" + encodeControlStatus(status) + "}");
            char line[96];
            std::snprintf(line, sizeof line, "step %lld of %lld, loss %.4f",
                static_cast<long long>(step), static_cast<long long>(m_loop->totalSteps()),
                status.loss.value_or(0));
            m_ctl.note(line);
        }

        void conclude(const Status& result)
        {
            if (!result)
                return m_ctl.fail(result.error());
            const ControlStatus status = m_loop->status();
            const DetachedRun run { m_folder.path(), status.job, status.pid,
                m_folder.controlSocket() };
            m_ctl.succeed(encodeDetachedRun(run),
                "trained " + std::to_string(status.step.value_or(0)) + " steps in " + run.runDir
                    + "\n");
        }

        Ctl& m_ctl;
        SnapshotChains m_chains;
        std::string m_runDir;
        RunFolder m_folder;
        TrainSpec m_spec;
        ByteVocabulary m_vocabulary;
        std::unique_ptr<TrainLoop> m_loop;
        QElapsedTimer m_sinceReport;
        QTimer m_watch;
    };

    Status checkTrainOptions(const CtlOptions& options)
    {
        const int sources = (options.names.empty() ? 0 : 1) + (options.isSample ? 1 : 0)
            + (options.isContinued ? 1 : 0);
        if (sources != 1)
            return Error { Error::Code::Usage,
                "train needs exactly one of RECIPE, --sample, --continue",
                "no training was started", "see trainerdesk-ctl train --help", {} };
        if (options.isContinued && options.runDir.empty())
            return Error { Error::Code::Usage, "--continue needs --run-dir",
                "no training was started", "name the folder of the run", {} };
        return done();
    }

} // namespace

void train(Ctl& ctl)
{
    const CtlOptions& options = ctl.options();
    if (const Status checked = checkTrainOptions(options); !checked)
        return ctl.fail(checked.error());
    const QString label = options.isSample || options.names.empty()
        ? u"sample"_s
        : QFileInfo(QString::fromStdString(options.names[0])).completeBaseName();
    const QString runDir = options.runDir.empty()
        ? newRunDirectory(ctl.profile(), label)
        : QFileInfo(QString::fromStdString(options.runDir)).absoluteFilePath();
    if (!options.isDetached) {
        auto* training = new Training(ctl, runDir.toStdString());
        return training->start();
    }
    if (!options.isContinued && !QDir().mkpath(runDir))
        return ctl.fail({ Error::Code::Unreadable,
            "the run folder " + runDir.toStdString() + " cannot be created",
            "no training was started", "check free space and permissions", {} });
    if (!QFileInfo(runDir).isDir())
        return ctl.fail({ Error::Code::NotFound, "there is no run folder " + runDir.toStdString(),
            "no training was started", "check the path", {} });
    auto* detached = new DetachedTrain(ctl, runDir);
    detached->start();
}

} // namespace desk
