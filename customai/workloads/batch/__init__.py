"""Scores a whole data set: rows of Parquet or CSV, or images; every input exactly once, whatever ends the process.

    the request           (request)   what is asked, as JSON in the arguments; no secrets
    files, wherever       (storage)   a folder of this machine or of Azure blob storage
    cut into chunks       (manifest)  written first, so that a run that goes on finds the same chunks
    scored by P processes (pool, worker)  each reads, scores and writes chunks of its own; one that dies is replaced
        rows -> tensors   (rows, parquet, delimited)     images -> tensors (images)     tensors -> columns (scorer)
    put together          (staging, output)  parts aside, then the whole run in place at once

A chunk is done when its line stands in the journal, after its files are on disk: it is never in the output twice, nor
missing. Run names replace as a whole; the same name with unchanged input does nothing.
"""
