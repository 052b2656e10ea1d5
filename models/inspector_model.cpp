// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/inspector_model.h"

#include "models/app_model.h"
#include "models/checkpoint_table_model.h"
#include "models/evidence.h"
#include "models/format.h"
#include "services/gateway/account_store.h"

#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    void addFact(QList<InspectorFact>& facts, const QString& label, const QString& value,
        bool isCode = false, const QString& link = {})
    {
        if (!value.isEmpty())
            facts.append({ label, value, isCode, Tone::Normal, link });
    }

    QString parameterText(int loraRank)
    {
        return loraRank > 0 ? InspectorModel::tr("LoRA, rank %1").arg(loraRank)
                            : InspectorModel::tr("full parameters");
    }

    QString timeWithAge(const std::optional<Time>& time, Time now)
    {
        return time ? format::isoTime(*time) + u" \u00b7 "_s
                + InspectorModel::tr("%1 ago").arg(format::age(*time, now, 2))
                    : QString();
    }

} // namespace

InspectorModel::InspectorModel(const AppModel& app, QObject* parent)
    : QObject(parent)
    , m_app(app)
{
}

void InspectorModel::rebuild()
{
    const Content before = m_content;
    m_content = {};
    switch (m_app.selection().subject()) {
    case Subject::Job:
        fillJob();
        break;
    case Subject::Checkpoint:
        fillCheckpoint();
        break;
    case Subject::Deployment:
        fillDeployment();
        break;
    case Subject::Model:
        fillModel();
        break;
    case Subject::None:
        break;
    }
    if (!(m_content == before))
        Q_EMIT changed();
}

void InspectorModel::fillJob()
{
    const JobRow* row = m_app.selectedJob();
    if (row == nullptr)
        return;
    const Time now = m_app.now();
    m_content.title = row->name;
    m_content.status = statusOf(row->evidence);
    QStringList subtitle { row->stateText };
    if (row->lastProgress)
        subtitle.append(tr("last step %1 ago").arg(format::age(row->lastProgress, now)));
    if (!row->createdBy.isEmpty())
        subtitle.append(tr("started by %1").arg(row->createdBy));
    m_content.subtitle = subtitle.join(u" \u00b7 "_s);
    if (row->loss) {
        m_content.tiles.append({ tr("train/loss \u03b1.9"), format::number(row->loss),
            row->slope ? tr("%1 / 1k").arg(format::signedNumber(*row->slope, 3)) : QString() });
    }
    if (row->evalLoss)
        m_content.tiles.append({ tr("eval/loss"), format::number(row->evalLoss), tr("newest") });
    if (row->tokensPerSecond) {
        m_content.tiles.append(
            { tr("tokens/s"), format::shortCount(*row->tokensPerSecond), tr("newest step") });
    }
    if (row->step && row->totalSteps && *row->totalSteps > 0) {
        const double done = double(*row->step) / double(*row->totalSteps);
        m_content.progress = done;
        m_content.progressText =
            tr("%1 of %2 \u00b7 %3 %")
                .arg(format::count(*row->step), format::count(*row->totalSteps))
                .arg(int(std::floor(done * 100)));
        if (row->created && row->lastProgress && row->evidence == Evidence::Training && done > 0) {
            const std::chrono::duration<double> spent = *row->lastProgress - *row->created;
            const auto left = std::chrono::seconds(std::llround(spent.count() * (1 - done) / done));
            // The first seconds say nothing about the rest.
            if (spent.count() > 3)
                m_content.timeLeft = tr("%1 left").arg(format::span(left, 2));
        }
    }
    auto& facts = m_content.facts;
    addFact(facts, tr("Kind"), row->kind + u" \u00b7 "_s + parameterText(row->loraRank));
    addFact(facts, tr("Base model"), format::baseModel(row->baseModel, row->isStandIn));
    if (row->isOnServer || !row->id.startsWith(u"run:"))
        addFact(facts, tr("Trainer job"), format::lastSegment(row->id), true);
    if (row->learningRate)
        addFact(facts, tr("Learning rate"), format::number(*row->learningRate));
    addFact(facts, tr("Created"), timeWithAge(row->created, now));
    if (row->checkpoints >= 0) {
        addFact(facts, tr("Checkpoints"),
            row->newestCheckpoint ? tr("%1 \u00b7 %2 promotable \u00b7 %3 ago")
                                        .arg(row->checkpoints)
                                        .arg(row->promotable)
                                        .arg(format::age(row->newestCheckpoint, now))
                                  : format::count(row->checkpoints));
    }
    if (!row->deployment.isEmpty()) {
        addFact(facts, tr("Serving"),
            format::lastSegment(row->deployment) + u" \u00b7 "_s
                + (row->servingIdentity.isEmpty() ? tr("no snapshot") : row->servingIdentity),
            false, row->deployment);
    }
    addFact(facts, tr("Folder"), row->runFolder, true);
    addFact(facts, tr("Message"), row->statusMessage);
    if (!row->runFolder.isEmpty()) {
        m_content.sources.append(
            { tr("Metrics"), tr("metrics.jsonl \u00b7 this machine"), row->lastProgress });
    }
    if (const AccountStore* account = m_app.link().account(); account && row->isOnServer) {
        m_content.sources.append({ tr("State"), tr("control plane"), account->jobsAsOf() });
        m_content.sources.append(
            { tr("Checkpoints"), tr("control plane"), account->checkpointsAsOf(row->id) });
    }
    const QString why = evidenceSentence(*row, now);
    if (!why.isEmpty()) {
        m_content.noteTitle = evidenceWord(row->evidence);
        m_content.noteTitle[0] = m_content.noteTitle.at(0).toUpper();
        m_content.note = why;
    }
    m_content.actions = { u"ckpt.save"_s, u"ckpt.promote"_s, u"deploy.hotload"_s,
        u"ckpt.verify"_s };
    const CheckpointRow* checkpoint = m_app.selectedCheckpoint();
    m_content.actionSubject = checkpoint != nullptr ? checkpoint->shortName : row->name;
    m_content.config = row->config;
    m_content.json = row->json;
}

void InspectorModel::fillCheckpoint()
{
    const CheckpointRow* row = m_app.selectedCheckpoint();
    if (row == nullptr)
        return;
    const Time now = m_app.now();
    const QString kind = QString::fromLatin1(kindWord(row->type));
    m_content.title = row->shortName;
    m_content.status = row->isPromotable ? StatusKind::Good : StatusKind::None;
    m_content.subtitle = row->created
        ? tr("%1 \u00b7 saved %2 ago").arg(kind, format::age(row->created, now, 2))
        : kind;
    if (row->loss)
        m_content.tiles.append({ tr("loss @ save"), format::number(row->loss),
            row->step ? tr("step %1").arg(format::count(*row->step)) : QString() });
    if (row->evalLoss)
        m_content.tiles.append({ tr("eval @ save"), format::number(row->evalLoss), {} });
    if (row->sizeBytes) {
        const auto ratio = row->deltaRatio();
        m_content.tiles.append({ tr("size"), format::bytes(*row->sizeBytes),
            ratio ? tr("%1 of base").arg(format::percent(*ratio)) : QString() });
    }
    auto& facts = m_content.facts;
    addFact(facts, tr("Server type"),
        row->typeText.startsWith(u"CHECKPOINT_TYPE_") ? row->typeText.mid(16) : row->typeText,
        true);
    const QString job = row->job + u"/checkpoints/"_s;
    if (!row->parent.isEmpty())
        addFact(facts, tr("Parent"), row->parent, true, job + row->parent);
    if (!row->chain.baseId.isEmpty()) {
        facts.append(
            { tr("Base"), row->chain.baseId, true, Tone::Normal, job + row->chain.baseId });
        addFact(facts, tr("Depth"), QString::number(row->chain.depth));
    } else if (row->type == CheckpointType::InferenceArcV2) {
        facts.append({ tr("Base"), tr("not in the list: the chain is broken or foreign"), false,
            Tone::Attention, {} });
    }
    if (row->changedFraction) {
        addFact(facts, tr("Changed"),
            tr("%1 of the elements").arg(format::percent(*row->changedFraction)));
    }
    addFact(facts, tr("Created"), timeWithAge(row->created, now));
    addFact(facts, tr("Expires"),
        row->expires ? tr("in %1").arg(format::age(now, *row->expires, 2)) : tr("no TTL"));
    if (!row->verified.isEmpty()) {
        addFact(facts, tr("Verified"),
            row->verifiedAt ? row->verified + u" \u00b7 "_s + timeWithAge(row->verifiedAt, now)
                            : row->verified);
    }
    addFact(facts, tr("Promoted as"), row->promotedAs, true);
    addFact(facts, tr("Name"), row->name, true);
    addFact(facts, tr("Files"), row->path, true);
    for (const ServingMark& mark : row->serving) {
        m_content.serving.append({ mark.deployment,
            mark.isLoading ? tr("%1 of %2 \u00b7 loading").arg(mark.ready).arg(mark.total)
                           : tr("%1 of %2").arg(mark.ready).arg(mark.total),
            false, mark.isLoading ? Tone::Busy : Tone::Good, {} });
    }
    if (const AccountStore* account = m_app.link().account()) {
        m_content.sources.append(
            { tr("Checkpoint"), tr("control plane"), account->checkpointsAsOf(row->job) });
    }
    if (!row->isPromotable) {
        m_content.noteTitle = tr("Not promotable");
        m_content.note = row->whyNotLong;
        m_content.noteLink = row->nearestPromotable;
    }
    m_content.actions = { u"ckpt.promote"_s, u"deploy.hotload"_s, u"ckpt.verify"_s,
        u"ckpt.save"_s };
    m_content.actionSubject = row->shortName;
    if (const JobRow* owner = m_app.selectedJob())
        m_content.config = owner->config;
    m_content.json = row->json;
}

void InspectorModel::fillDeployment()
{
    const DeploymentRow* row = m_app.selectedDeployment();
    if (row == nullptr)
        return;
    const Time now = m_app.now();
    m_content.title = format::lastSegment(row->name);
    m_content.status = statusOfServerWord(row->state);
    m_content.subtitle = tr("%1 \u00b7 %2 of %3 replicas ready")
                             .arg(row->state.isEmpty() ? tr("state unknown") : row->state)
                             .arg(row->ready)
                             .arg(row->replicas);
    auto& facts = m_content.facts;
    addFact(facts, tr("Base model"), format::baseModel(row->baseModel, row->isStandIn));
    addFact(facts, tr("Trainer"),
        row->trainerJob.isEmpty() ? tr("none attached") : format::lastSegment(row->trainerJob),
        !row->trainerJob.isEmpty(), row->trainerJob);
    addFact(facts, tr("Hot load"), row->enablesHotLoad ? tr("enabled") : tr("not enabled"));
    addFact(facts, tr("Serving"),
        row->isMixed                  ? tr("mixed: replicas serve different snapshots")
            : row->identity.isEmpty() ? tr("the base model")
                                      : row->identity,
        !row->identity.isEmpty());
    if (row->lagSteps)
        addFact(facts, tr("Behind"), tr("%1 steps").arg(format::count(*row->lagSteps)));
    addFact(facts, tr("Created"), timeWithAge(row->created, now));
    addFact(facts, tr("Name"), row->name, true);
    for (const Replica& replica : row->replicaRows) {
        QString value = format::fromUtf8(replica.stage);
        const QString snapshot = format::fromUtf8(replica.currentSnapshot);
        if (!snapshot.isEmpty() && row->isMixed)
            value = snapshot + u" \u00b7 "_s + value;
        if (replica.seconds)
            value += u" \u00b7 "_s + format::seconds(*replica.seconds);
        if (!replica.error.empty())
            value += u" \u00b7 "_s + format::fromUtf8(replica.error);
        m_content.serving.append({ format::fromUtf8(replica.identity), value, false,
            !replica.error.empty() ? Tone::Failed : (replica.isReady ? Tone::Good : Tone::Busy),
            {} });
    }
    if (!row->error.isEmpty()) {
        m_content.noteTitle = tr("Last load failed");
        m_content.note = row->error;
    }
    if (const AccountStore* account = m_app.link().account())
        m_content.sources.append({ tr("State"), tr("control plane"), account->deploymentsAsOf() });
    m_content.actions = { u"deploy.hotload"_s, u"deploy.create"_s, u"deploy.delete"_s };
    m_content.actionSubject = m_content.title;
    m_content.json = row->json;
}

void InspectorModel::fillModel()
{
    const ModelRow* row = m_app.selectedModel();
    if (row == nullptr)
        return;
    m_content.title = row->id;
    m_content.status = statusOfServerWord(row->state);
    m_content.subtitle = row->state.toLower();
    auto& facts = m_content.facts;
    addFact(facts, tr("Kind"), row->kind, true);
    addFact(facts, tr("Base model"), format::lastSegment(row->baseModel));
    addFact(facts, tr("Stand-in for"), row->standInFor);
    addFact(facts, tr("Promoted from"), format::lastSegment(row->promotedFrom), true,
        row->promotedFrom);
    addFact(facts, tr("Created"), timeWithAge(row->created, m_app.now()));
    addFact(facts, tr("Name"), row->name, true);
    addFact(facts, tr("Files"), row->path, true);
    if (const AccountStore* account = m_app.link().account())
        m_content.sources.append({ tr("Model"), tr("control plane"), account->modelsAsOf() });
    m_content.json = row->json;
}

} // namespace desk
