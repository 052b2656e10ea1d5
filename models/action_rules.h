// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QString>

namespace desk {

class AppModel;

/// Decides which actions can be used now and says why not, and turns the ones that concern rows
/// into requests with their subject. What belongs to the window (themes, docks, files) is the
/// shell's. THREAD: GUI.
class ActionRules final : public QObject
{
    Q_OBJECT
public:
    explicit ActionRules(AppModel& app);

    void update();

private:
    void run(const QString& id);
    void review(const QString& id);
    [[nodiscard]] QString writeBlocked() const;
    [[nodiscard]] QString whyNotSave() const;
    [[nodiscard]] QString whyNotPromote() const;
    [[nodiscard]] QString whyNotHotload() const;
    [[nodiscard]] QString whyNotVerify() const;
    [[nodiscard]] QString whyNotControl(const QString& id) const;
    [[nodiscard]] QString whyNotReconcile() const;

    AppModel& m_app;
};

} // namespace desk
