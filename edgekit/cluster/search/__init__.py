"""The search for networks that are accurate, fast and small: each of them is a build, cut short while it is looked for.

space -> proposals -> trials in batches -> journal -> front -> whole builds -> results
"""
