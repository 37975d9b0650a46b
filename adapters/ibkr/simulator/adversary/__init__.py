"""A broker that answers late, twice, wrongly or not at all, and accounts on which others trade too."""
