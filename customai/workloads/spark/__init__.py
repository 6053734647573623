"""Spark at work: sessions that start quietly and fail in plain words, scoring as Spark columns, batch runs, streams.

    session.py    Java found and checked, a quiet Spark session, Spark's errors in our words
    export.py     a trained SparkML pipeline as one ONNX file that decides as Spark does; its trees: trees.py
    pipeline.py   what a pipeline reads
    request.py    what a job is asked, as JSON
    scorer.py     DataFrame -> the same rows with label, probability and error: by onnxruntime, or by the pipeline itself
    dataset.py    what is to be scored: its files, rows and columns, looked at before Spark starts
    batch.py      a job: a data set in, OUTPUT/run=NAME out, as a whole or not at all; from blobs: remote.py
    shared.py    the same in a session that is there already, on a cluster's storage; there.py: how Databricks begins it
    attempts.py   what is kept of a run that was killed; progress.py and summary.py: what it tells
    rehearsal.py  what it costs when the machine is taken away meanwhile
    output.py     a stream's folder that appears as a whole
    stream.py     work without end: what arrives (source.py) is scored, each row once, also after a crash

pyspark is imported inside functions: everything else here can be asked without it.
"""
