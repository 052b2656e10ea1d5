// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QPushButton;
class QStackedWidget;

namespace desk {

class AppModel;
class Band;
class SpanLabel;

/// Stands for the jobs table while there is no job: two equal ways in and a quiet third. Once a
/// connection is up, the same place offers the first training.
class FirstRunPage final : public QWidget
{
    Q_OBJECT

public:
    explicit FirstRunPage(AppModel& app, QWidget* parent = nullptr);
    QSize minimumSizeHint() const override;

private:
    QWidget* makeWelcome();
    QWidget* makeReady();
    QWidget* makeFolderRow(const QString& objectName);
    void refresh();

    AppModel& m_app;
    Band* m_band = nullptr;
    QStackedWidget* m_stack = nullptr;
    QPushButton* m_useLocal = nullptr;
    QPushButton* m_startSample = nullptr;
    SpanLabel* m_localNote = nullptr;
    SpanLabel* m_readyTitle = nullptr;
    SpanLabel* m_readyText = nullptr;
    SpanLabel* m_sampleNote = nullptr;
};

} // namespace desk
