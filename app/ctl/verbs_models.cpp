// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/draft_run.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"
#include "services/core/resource_name.h"
#include "services/gateway/model_export.h"

#include <QElapsedTimer>
#include <QFileInfo>

#include <unistd.h>

namespace desk {
namespace {

    TextTable modelTable()
    {
        return TextTable({ "MODEL", "KIND", "STATE", "BASE MODEL", "PROMOTED FROM" });
    }

    void addModelRow(TextTable& table, const Model& model)
    {
        table.add({ std::string(lastSegment(model.name)), model.kind, model.state,
            std::string(lastSegment(model.baseModel)),
            std::string(lastSegment(model.promotedFrom)) });
    }

} // namespace

void listModels(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.client().listModels(), [&ctl](const std::vector<Model>& models) {
            std::vector<std::string> items;
            TextTable table = modelTable();
            for (const Model& model : models) {
                items.push_back(encodeCliModel(model));
                addModelRow(table, model);
            }
            ctl.succeed(encodeCliList(ctl.clock().now(), ctl.connection().name, items),
                table.text("no models"));
        });
    });
}

void showModel(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        ctl.then(ctl.client().getModel(ctl.fullModelName(ctl.options().names[0])),
            [&ctl](const Model& model) {
                TextTable table = modelTable();
                addModelRow(table, model);
                ctl.succeed(encodeCliModel(model), table.text({}));
            });
    });
}

void deleteModel(Ctl& ctl)
{
    ctl.withOperations([&ctl] {
        OperationDraft draft;
        draft.kind = OperationKind::Delete;
        draft.target = ctl.fullModelName(ctl.options().names[0]);
        draft.parameters["resource"] = "model";
        runDraft(ctl, std::move(draft));
    });
}

void exportModel(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        const QFileInfo folder(QString::fromStdString(ctl.options().names[1]));
        const auto progress = [&ctl, since = QElapsedTimer()](
                                  const std::string& file, std::uint64_t bytes) mutable {
            constexpr qint64 kEveryMs = 500;
            const bool isShown = ctl.options().isJsonProgress || ::isatty(STDERR_FILENO) != 0;
            if (!isShown || (since.isValid() && since.elapsed() < kEveryMs))
                return;
            since.start();
            ctl.note(ctl.options().isJsonProgress
                    ? encodeCliExportProgress(file, bytes)
                    : file + ", " + std::to_string(bytes >> 20) + " MiB");
        };
        ctl.then(exportModelFiles(ctl.client(), ctl.fullModelName(ctl.options().names[0]),
                     folder.absoluteFilePath(), progress, &ctl),
            [&ctl](const ExportedModel& done) {
                const CliExport row { done.model, done.folder, done.files, done.bytes };
                ctl.succeed(encodeCliExport(row),
                    std::to_string(done.files.size()) + " files, " + std::to_string(done.bytes)
                        + " bytes in " + done.folder + "\n");
            });
    });
}

} // namespace desk
