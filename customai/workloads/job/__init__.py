"""Work that ends: a run folder, what is told about it while it goes on, and the process that sees it through.

A run folder holds, besides what the work itself puts there:

    job.json       what is to be done: argv, env, cwd
    state.json     running | succeeded | failed | cancelled, since when, which attempt, exit code   (by the runner)
    progress.json  how far it is                                                                    (by the work)
    result.json    what came of it                                                                  (by the work)
    error.json     why it failed, as an error of customai.errors in JSON                            (by the work)
    job.log        what the work wrote
    lock           held by the runner and the work's first process, as long as either lives
    cancel         made by whoever wants it stopped
"""
