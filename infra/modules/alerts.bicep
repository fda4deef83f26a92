// When somebody is told, and how soon. Each alert has a page of its own in docs/runbooks, under its name.
// tests/infra holds what is asked for to the events, fields and reasons of the code; tests/e2e provokes each alert.
//
// Severity: 1, get up now; 2, today; 3, this week. Most look back further than the time from one look to the next, for
// lines come minutes late, and what has come too late for one look would be missed by all.
param location string
param workspaceId string
param actionGroupId string

@description('Address of the folder docs/runbooks; empty if it has none.')
param runbooksUrl string

@description('How many files of a day may be ignored, and how many refused.')
param strayFilesPerDay int

@description('Whether the app probes itself. Where it does not, the alerts about probes are turned off.')
param isProbed bool

// The app's own lines: one of JSON for each event (docs/logging.md). The host's begin otherwise.
var lines = 'AppTraces | where Message startswith "{" | extend line = parse_json(Message) | extend event = tostring(line.event), reason = tostring(line.reason)'

// An alert fires where its query has more than `above` rows. One that waits for what does not come has a row for that.
var alerts = [
  {
    name: 'ingest-failing'
    says: 'Files cannot even be put off: settings, or the storage account.'
    severity: 1
    every: 'PT5M'
    over: 'PT30M'
    above: 4 // of its six spans of five minutes; one message's five attempts are over sooner
    from: lines
    query: 'where event in ("ingest_failed", "sweep_failed") | summarize by bin(TimeGenerated, 5m)'
  }
  {
    name: 'no-sweep'
    says: 'No sweep has ended for half an hour: the app that stores files does not run.'
    severity: 1
    every: 'PT5M'
    over: 'PT30M' // six sweeps' time; a sweep takes four minutes at most, and its line comes late
    above: 0
    from: lines
    query: 'where event == "sweep" | summarize sweeps = count() | where sweeps == 0'
  }
  {
    // Not who is stopped on purpose: ingest-stopped says that.
    name: 'probe-failed'
    says: 'Twice in a row a file of our own did not get in within five minutes.'
    severity: 2 // nothing is lost, and the sweep finds what no event told of; an outage has an alert of its own
    every: 'PT10M'
    over: 'PT30M'
    above: 1
    from: lines
    query: 'where event == "probe_failed" or (event == "probe" and reason != "stopped") | top 2 by TimeGenerated | where not(event == "probe" and tobool(line.complete))'
  }
  {
    name: 'no-probe'
    says: 'No probe has ended for three quarters of an hour: nobody knows whether files get in.'
    severity: 2 // no-sweep is there as well where the app does not run
    every: 'PT15M'
    over: 'PT45M' // four probes' time; one takes five minutes at most, and its line comes late
    above: 0
    from: lines
    query: 'where event in ("probe", "probe_failed") | summarize probes = count() | where probes == 0'
  }
  {
    // Not `outage_begins` without `outage_ends`: a process that ends meanwhile says neither. But what waits is put off
    // again every quarter of an hour or so, and the first one through ends it: so what is put off is asked for, since
    // the latest end, or the latest file that was stored. Three quarters at least, for two short outages whose ends
    // were not said are none of half an hour.
    name: 'outage'
    says: 'The DICOM service has been down for half an hour, or does not let the app in. Files wait.'
    severity: 1
    every: 'PT5M'
    over: 'PT2H'
    above: 0
    from: lines
    query: 'where event == "outage_ends" or (event == "blob_decided" and line.verdict == "stored") or (event == "blob_deferred" and reason in ("outage", "service_unreachable", "service_busy", "access_denied")) | order by TimeGenerated desc | extend ends = row_cumsum(iff(event != "blob_deferred", 1, 0)) | where ends == 0 | summarize quarters = dcount(bin(TimeGenerated, 15m)), old = countif(TimeGenerated < ago(30m)), recent = countif(TimeGenerated > ago(30m)) | where quarters > 2 and old > 0 and recent > 0'
  }
  {
    name: 'files-waiting'
    says: 'A file has waited for more than an hour.'
    severity: 2 // nothing is lost; an outage and a stop have alerts of their own
    every: 'PT15M'
    over: 'PT30M'
    above: 0
    from: lines
    query: 'where event == "sweep" and toint(line.oldest_pending_seconds) > 3600'
  }
  {
    name: 'ingest-stopped'
    says: 'Ingest has been stopped for an hour.'
    severity: 2 // somebody did it, and may have forgotten
    every: 'PT15M'
    over: 'PT2H'
    above: 11 // sweeps: an hour's
    from: lines
    query: 'where event == "sweep" and reason == "stopped"'
  }
  {
    // Each sweep tells anew of what lies in a queue that only a person empties.
    name: 'message-set-aside'
    says: 'A message was set aside: a file that ends the app, or what nobody can read.'
    severity: 2
    every: 'PT15M'
    over: 'PT1H'
    above: 0
    from: lines
    query: 'where event in ("poison_failed", "arrival_parked", "foreign_poison_moved", "set_aside_unknown") or (event == "blob_deferred" and reason == "poisoned") or (event == "set_aside" and toint(line.messages) > 0)'
  }
  {
    name: 'events-dead-lettered'
    says: 'Event Grid could not deliver events: for a day, or refused outright (no role, wrong key).'
    severity: 3 // the sweep has found the files
    every: 'PT30M'
    over: 'PT1H'
    above: 0
    from: lines
    query: 'where event == "set_aside" and toint(line.dead_letters) > 0'
  }
  {
    name: 'file-given-up'
    says: 'A file was given up and is in quarantine, or the DICOM service reads other UIDs in it than the app.'
    severity: 2
    every: 'PT15M'
    over: 'PT1H'
    above: 0
    from: lines
    query: 'where event == "other_uids" or (event == "blob_decided" and line.verdict == "gave_up")'
  }
  {
    name: 'files-refused'
    says: 'More files than usual are in conflict or rejected: a sender has changed something.'
    severity: 3
    every: 'PT1H'
    over: 'P1D'
    above: strayFilesPerDay
    from: lines
    query: 'where event == "blob_decided" and tostring(line.verdict) in ("conflict", "rejected")'
  }
  {
    name: 'files-ignored'
    says: 'More files than usual are ignored: is there a suffix that INBOX_SUFFIXES does not name?'
    severity: 3
    every: 'PT1H'
    over: 'P1D'
    above: strayFilesPerDay
    from: lines
    query: 'where event == "blob_decided" and line.verdict == "ignored"'
  }
  {
    // readiness.bicep asks each app every quarter of an hour; that this place asked in vain, it says itself. Why, the
    // app says: `not_ready`.
    name: 'not-ready'
    says: 'An app says that it cannot do its work, or says nothing.'
    severity: 1
    every: 'PT15M'
    over: 'PT1H'
    above: 0
    from: 'AppAvailabilityResults'
    query: 'where Success == false | summarize failures = count() by Name | where failures > 2' // of four
  }
  {
    // By the host's account, since the app's own line of a lookup may not come: it is written once the last byte is
    // sent, and a host that sends the app's lines takes none of a call that it thinks is over. A host that traces by
    // OpenTelemetry calls a request by its route, `GET api/health/ready`, another one by its function, `health_ready`.
    name: 'lookups-failing'
    says: 'More than a tenth of all requests are answered 5xx.'
    severity: 1
    every: 'PT5M'
    over: 'PT15M'
    above: 0
    from: 'AppRequests'
    query: 'where toint(ResultCode) >= 100 and Name !contains "health" | summarize failed = countif(toint(ResultCode) >= 500), asked = count() | where failed > 5 and failed * 10 > asked'
  }
  {
    name: 'access-not-recorded'
    says: 'It could not be recorded who saw what.'
    severity: 2 // with AUDIT=required callers get 503; where that happens often, lookups-failing is there as well
    every: 'PT15M'
    over: 'PT1H'
    above: 0
    from: lines
    query: 'where event == "access_not_recorded"'
  }
  {
    // Only where the app has been there for longer: the first night is yet to come on the day of the first deployment.
    // Without a policy there is nothing to plan.
    name: 'no-plan'
    says: 'Retention has made no plan since the night before last.'
    severity: 2
    every: 'PT1H'
    over: 'P2D' // of which thirty hours: a night later, and as much as it may take
    above: 0
    from: lines
    query: 'extend isOld = TimeGenerated < ago(30h), isPlan = event == "retention_night" and (isnotempty(tostring(line.plan)) or reason == "no_policy") | summarize old = countif(isOld), plans = countif(isPlan and not(isOld)) | where old > 0 and plans == 0'
  }
  {
    // With PURGE_MODE=approve nothing goes by itself, and an approval is for a week.
    name: 'plan-to-approve'
    says: 'Studies are due, and wait for somebody to approve their plan.'
    severity: 3
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "retention_night" and toint(line.awaiting_approval) > 0'
  }
  {
    // What a night says, for six hours: then it is over, and the next night can say it anew.
    name: 'brake-tripped'
    says: 'Retention would have deleted far more than usual, and has deleted nothing.'
    severity: 2
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "retention_refused" and reason in ("over_max_share", "over_max_times_usual")'
  }
  {
    // All other reasons, but for those that pass by themselves, are somebody's will, or are no mistake.
    name: 'retention-refused'
    says: 'Retention deletes nothing: the policy, a list or a record has a fault.'
    severity: 3
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "approval_ignored" or (event == "retention_refused" and reason !in ("over_max_share", "over_max_times_usual", "no_policy", "ledger_unfinished", "stopped"))'
  }
  {
    name: 'retention-stopped'
    says: 'Retention has been stopped for two nights.'
    severity: 3 // somebody did it, and may have forgotten
    every: 'PT1H'
    over: 'P2D'
    above: 1 // nights
    from: lines
    query: 'where event == "retention_refused" and reason == "stopped"'
  }
  {
    name: 'retention-halted'
    says: 'A night of retention ended early.'
    severity: 3 // the next one goes on; what was deleted is on record
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "retention_failed" or (event == "retention_halted" and reason !in ("rules_changed", "plan_withdrawn", "out_of_time"))'
  }
  {
    name: 'study-failing'
    says: 'A study could not be deleted in three nights in a row, or nobody can tell whether it was.'
    severity: 3
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "purge_failed" and (toint(line.attempts) >= 3 or reason == "intent_open")'
  }
  {
    name: 'instance-purged-late'
    says: 'An instance arrived while its study was deleted. It was deleted without a copy.'
    severity: 2 // while its sender still has it
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "purged_late_instance"'
  }
  {
    name: 'purged-too-soon'
    says: 'A study was deleted although a newer study of its patient had just arrived.'
    severity: 2 // while the vault has its copy
    every: 'PT1H'
    over: 'PT6H'
    above: 0
    from: lines
    query: 'where event == "purged_too_soon"'
  }
]

// The folder of the pages, with a slash at its end.
var runbooks = endsWith(runbooksUrl, '/') ? runbooksUrl : '${runbooksUrl}/'

// Turned off and not left out: a deployment takes nothing away that an earlier one has made.
var aboutProbes = [
  'probe-failed'
  'no-probe'
]

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for item in alerts: {
    name: item.name
    location: location
    kind: 'LogAlert'
    properties: {
      displayName: item.name
      description: '${item.says} What to do: ${empty(runbooksUrl) ? 'read the runbook docs/runbooks/${item.name}.md in the repository of the project dicom-dropbox, from which this app was deployed.' : '${runbooks}${item.name}.md'}'
      severity: item.severity
      enabled: isProbed || !contains(aboutProbes, item.name)
      scopes: [
        workspaceId
      ]
      evaluationFrequency: item.every
      windowSize: item.over
      criteria: {
        allOf: [
          {
            query: '${item.from} | ${item.query} | count'
            metricMeasureColumn: 'Count'
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: item.above
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true // says when it is over, and fires anew the next time
      skipQueryValidation: true // a new workspace has no tables yet
      actions: {
        actionGroups: [
          actionGroupId
        ]
      }
    }
  }
]
