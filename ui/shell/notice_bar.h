// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/error_text.h"

#include <QWidget>

#include <optional>

class QLabel;
class QToolButton;

namespace desk {

class AppModel;
class Band;

/// Above the page: what does not work now (no answer, key rejected, offline) as long as it lasts,
/// else the last failure of something the user did, until it is dismissed.
class NoticeBar final : public QWidget
{
    Q_OBJECT

public:
    explicit NoticeBar(AppModel& app, QWidget* parent = nullptr);
    void refresh();

private:
    void retry();

    AppModel& m_app;
    Band* m_band;
    QToolButton* m_retry;
    QToolButton* m_close;
    std::optional<ErrorText> m_problem;
};

} // namespace desk
