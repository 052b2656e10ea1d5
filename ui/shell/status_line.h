// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStatusBar>

namespace desk {

class AppModel;
class SpanLabel;

/// Bottom line (objectName "statusBar"): how old the data is, what it costs to keep it fresh, what
/// computes, how many problems there are; the reason of a disabled action for some seconds.
class StatusLine final : public QStatusBar
{
    Q_OBJECT

public:
    explicit StatusLine(AppModel& app, QWidget* parent = nullptr);

    void refresh();
    void setDevice(const QString& text); ///< "CPU · avx512 — no CUDA device"
    void say(const QString& sentence); ///< for some seconds, in place of the left part

private:
    AppModel& m_app;
    SpanLabel* m_left = nullptr;
    SpanLabel* m_device = nullptr;
    SpanLabel* m_problems = nullptr;
    SpanLabel* m_folders = nullptr;
};

} // namespace desk
