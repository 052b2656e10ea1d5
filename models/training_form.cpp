// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/training_form.h"

#include "models/app_model.h"
#include "models/format.h"
#include "models/model_table_model.h"
#include "services/codecs/recipe_codec.h"
#include "services/runs/train_launcher.h"

#include <QFileInfo>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kMaxSteps = 10'000'000;
    constexpr qint64 kMaxDataBytes = qint64 { 4 } << 30;

} // namespace

TrainingForm::TrainingForm(AppModel& app, QObject* parent)
    : QObject(parent)
    , m_app(app)
{
}

void TrainingForm::setFields(const TrainingFields& fields)
{
    if (m_fields == fields)
        return;
    m_fields = fields;
    Q_EMIT changed();
}

void TrainingForm::reset()
{
    m_fields = {};
    const QStringList models = baseModels();
    if (!models.isEmpty())
        m_fields.baseModel = models.first();
    Q_EMIT changed();
}

QStringList TrainingForm::baseModels() const
{
    QStringList base;
    QStringList promoted;
    for (const ModelRow& row : m_app.models().rows()) {
        if (row.kind == u"HF_PEFT_ADDON")
            continue; // an adapter is no model of its own
        (row.promotedFrom.isEmpty() ? base : promoted).append(row.name);
    }
    return base + promoted;
}

QString TrainingForm::problemOfFile(const QString& path)
{
    const QFileInfo file(path);
    if (!file.isFile())
        return tr("The file does not exist.");
    if (!file.isReadable())
        return tr("The file cannot be read.");
    if (file.size() == 0)
        return tr("The file is empty.");
    return file.size() > kMaxDataBytes ? tr("The file is larger than 4 GiB.") : QString();
}

QString TrainingForm::problem() const
{
    const QString blocked = m_app.actions().reason(u"train.new"_s);
    if (!blocked.isEmpty())
        return blocked;
    if (m_fields.dataFile.isEmpty())
        return tr("Choose a text or JSON Lines file.");
    const QString data = problemOfFile(m_fields.dataFile);
    if (!data.isEmpty())
        return data;
    const QString eval = m_fields.evalFile.isEmpty() ? QString() : problemOfFile(m_fields.evalFile);
    if (!eval.isEmpty())
        return tr("Held-out text: %1").arg(eval);
    if (m_fields.baseModel.isEmpty())
        return tr("Choose a base model.");
    if (m_fields.steps < 1 || m_fields.steps > kMaxSteps)
        return tr("The number of steps must be between 1 and 10,000,000.");
    if (!(m_fields.learningRate > 0) || m_fields.learningRate > 1)
        return tr("The learning rate must be above 0 and at most 1.");
    return {};
}

Recipe TrainingForm::recipe() const
{
    Recipe recipe;
    recipe.name =
        format::toUtf8(m_fields.name.isEmpty() ? QFileInfo(m_fields.dataFile).completeBaseName()
                                               : m_fields.name.trimmed());
    recipe.baseModel = format::toUtf8(m_fields.baseModel);
    recipe.data = format::toUtf8(QFileInfo(m_fields.dataFile).absoluteFilePath());
    recipe.batchSize = m_fields.batchSize;
    recipe.maxSteps = m_fields.steps;
    recipe.learningRate = m_fields.learningRate;
    if (!m_fields.evalFile.isEmpty()) {
        recipe.evalData = format::toUtf8(QFileInfo(m_fields.evalFile).absoluteFilePath());
        recipe.evalEvery = m_fields.evalEvery;
    }
    recipe.stateSaveEvery = m_fields.stateSaveEvery;
    recipe.samplerSaveEvery = m_fields.samplerSaveEvery;
    return recipe;
}

void TrainingForm::start()
{
    if (!problem().isEmpty())
        return;
    TrainRequest request;
    request.recipe = encodeRecipe(recipe());
    request.label = format::fromUtf8(recipe().name);
    if (const auto& connection = m_app.link().connection())
        request.connection = format::fromUtf8(connection->name);
    m_app.startTraining(request);
    Q_EMIT started();
}

} // namespace desk
